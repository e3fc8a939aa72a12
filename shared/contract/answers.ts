import { z } from 'zod';
import { MAX_SHARE_LINKS, ShareLink } from './tickets.ts';

/** The `202` of a command. */
export const Accepted = z
  .object({ jobId: z.string().describe('The job: GET /jobs/{id}.') })
  .meta({ id: 'Accepted' });
export type Accepted = z.infer<typeof Accepted>;

/** The `202` of a command that creates containers. */
export const AcceptedContainers = Accepted.extend({
  containerId: z.string().describe('The container that the job creates.'),
  containerIds: z.array(z.string()).optional().describe('All of them, when the job creates several.'),
}).meta({ id: 'AcceptedContainers' });
export type AcceptedContainers = z.infer<typeof AcceptedContainers>;

/** The `202` of `POST /jobs/:id/retry`. */
export const AcceptedRetry = Accepted.extend({
  run: z.number().int().describe('The new run.'),
  containerId: z.string().optional().describe('The container of the new run.'),
}).meta({ id: 'AcceptedRetry' });
export type AcceptedRetry = z.infer<typeof AcceptedRetry>;

/** The answer of every list with a cursor. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({
    items: z.array(item).describe('Newest first.'),
    nextCursor: z.string().nullable().describe('`null` on the last page.'),
    incomplete: z
      .literal(true)
      .optional()
      .describe('Only recent items are listed: the history is unavailable. Ask again later.'),
  });
export type PageOf<T> = { items: T[]; nextCursor: string | null; incomplete?: true | undefined };

/** The answer of `GET /models`. */
export const Models = z
  .object({
    items: z
      .array(
        z.object({
          id: z.string().describe('Name of the model.'),
          hosts: z.number().int().describe('How many hosts serve it.'),
        }),
      )
      .describe('By name.'),
  })
  .meta({ id: 'Models' });
export type Models = z.infer<typeof Models>;

/** The answer of `GET /realtime/tokens`. */
export const ShareLinkList = z
  .object({ items: z.array(ShareLink).max(MAX_SHARE_LINKS).describe('The links.') })
  .meta({ id: 'ShareLinkList' });
export type ShareLinkList = z.infer<typeof ShareLinkList>;

/** The answer of `GET /webhooks/secret`. */
export const WebhookSecret = z
  .object({
    secret: z
      .string()
      .regex(/^whsec_/)
      .describe('Signs your webhooks, as Standard Webhooks specifies.'),
  })
  .meta({ id: 'WebhookSecret' });
export type WebhookSecret = z.infer<typeof WebhookSecret>;
