import { z } from 'zod';
import { PICTURE_FORMATS } from './action.ts';

const pixel = z.number().int();

/** A picture in an answer. */
export const ActionPicture = z
  .object({
    frame: z.string().describe('Names what it shows: the same frame, the same screen.'),
    width: pixel.describe('Pixels.'),
    height: pixel.describe('Pixels.'),
    format: z.enum(PICTURE_FORMATS).describe('Its format.'),
    data: z.string().describe('In base64; binary over the socket.'),
  })
  .meta({ id: 'ActionPicture' });
export type ActionPicture = z.infer<typeof ActionPicture>;

/** The rectangle in which the screen was painted. */
export const Damage = z
  .object({
    x: pixel.describe('Its left edge on the screen, pixels.'),
    y: pixel.describe('Its top edge on the screen, pixels.'),
    width: pixel.describe('Pixels.'),
    height: pixel.describe('Pixels.'),
  })
  .meta({ id: 'ActionDamage' });
export type Damage = z.infer<typeof Damage>;

const delivered = z.number().int().optional().describe('Of a text: how many of its characters were typed.');

/** The result of one action. */
export const ActionResult = z
  .union([
    z
      .object({
        ok: z.literal(true),
        changed: z
          .boolean()
          .describe('The screen was painted between this action and the next. A blinking cursor counts.'),
        damage: Damage.optional().describe('Where it was painted.'),
        delivered,
        tookMs: z.number().int().describe('How long it took, ms.'),
        screenshot: ActionPicture.optional(),
      })
      .describe('Carried out.'),
    z
      .object({
        ok: z.literal(false),
        error: z
          .object({ code: z.string(), message: z.string() })
          .describe('The cause, and what to do next.'),
        delivered,
      })
      .describe('Failed.'),
    z.object({ skipped: z.literal(true) }).describe('Not begun, because an earlier one failed.'),
  ])
  .meta({ id: 'ActionResult' });
export type ActionResult = z.infer<typeof ActionResult>;

/** The answer of a call with actions. */
export const ActionsAnswer = z
  .object({
    results: z.array(ActionResult).describe('One for each action of the request, in order.'),
    stoppedAt: z.number().int().optional().describe('The index of the action that failed.'),
    settled: z
      .enum(['quiet', 'timeout', 'off'])
      .describe(
        'How the wait after the last action ended: `timeout` when the screen was still being painted.',
      ),
    cursor: z
      .object({ x: pixel.describe('From the left edge.'), y: pixel.describe('From the top edge.') })
      .describe('The pointer on the screen, pixels.'),
    screen: z
      .object({ width: pixel.describe('Pixels.'), height: pixel.describe('Pixels.') })
      .describe('The size of the screen, pixels.'),
    incarnation: z.number().int().describe('The incarnation of the desktop that answered.'),
    screenshot: ActionPicture.optional().describe('The picture at the end.'),
    picturesOmitted: z
      .literal(true)
      .optional()
      .describe(
        'Only in the answer to a repeated request: its pictures were too large to keep. Take a new screenshot.',
      ),
  })
  .meta({ id: 'ActionsAnswer' });
export type ActionsAnswer = z.infer<typeof ActionsAnswer>;

/** Returns an answer without its pictures: all that is kept of one that is too large. */
export function withoutPictures({ screenshot, ...answer }: ActionsAnswer): ActionsAnswer {
  const results = answer.results.map((result) => {
    if (!('ok' in result && result.ok)) return result;
    const { screenshot: _, ...rest } = result;
    return rest;
  });
  return { ...answer, results, picturesOmitted: true };
}
