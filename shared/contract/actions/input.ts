import { z } from 'zod';
import { Action, MAX_ACTIONS, ScreenshotRequest, Space } from './action.ts';
import { DIALECT_NAMES, DIALECTS } from './dialects/dialect.ts';

/** An action of another vendor; {@link ActionsInput} checks it by its dialect. */
const VendorAction = z
  .looseObject({})
  .describe('With `dialect`: the action as the model emitted it.')
  .meta({ id: 'VendorAction' });

const settle = z
  .union([
    z.literal(false),
    z.strictObject({
      quietMs: z
        .number()
        .int()
        .min(20)
        .max(2000)
        .default(100)
        .describe('Nothing is painted for this long, ms.'),
      maxMs: z.number().int().min(0).max(8000).default(2000).describe('It waits at most this long, ms.'),
    }),
  ])
  .prefault({})
  .describe('The wait after the last action, until the screen is quiet. `false`: none.');

/** The body of a call with actions. Parsing is idempotent. */
export const ActionsInput = z
  .strictObject({
    actions: z
      .array(z.union([Action, VendorAction]))
      .min(1)
      .max(MAX_ACTIONS)
      .describe('Carried out in order; the first that fails stops the rest.'),
    dialect: z
      .enum(DIALECT_NAMES)
      .default('warmwind')
      .describe(
        'The vocabulary of `actions`: another than `warmwind` takes the actions that a model emitted, verbatim.',
      ),
    space: Space.optional().describe(
      'What points are measured in: pixels of the `screen`, a grid from 0 to 1000, or pixels of a picture of this size. `grid1000` for `gemini`, otherwise `screen` if left out.',
    ),
    settle,
    screenshot: z
      .union([z.literal(false), ScreenshotRequest])
      .default(false)
      .describe('Pictures in the answer.'),
    control: z
      .enum(['fail', 'take'])
      .default('fail')
      .describe('When a human holds control: `fail` with `control_held`, or `take` it.'),
  })
  .superRefine(({ actions, dialect }, context) => {
    const { schema } = DIALECTS[dialect];
    for (const [index, action] of actions.entries()) {
      for (const { path, message } of schema.safeParse(action).error?.issues ?? [])
        context.addIssue({ code: 'custom', path: ['actions', index, ...path], message });
    }
  })
  .meta({ id: 'ActionsInput' });
export type ActionsInput = z.infer<typeof ActionsInput>;
