import { z } from 'zod';
import { MAX_SHARE_LINKS, ShareLink } from '../realtime.ts';

/** The `202` of a command. */
export const Accepted = z.object({ jobId: z.string() });
export type Accepted = z.infer<typeof Accepted>;

/** The `202` of a command that creates containers. */
export const AcceptedContainers = Accepted.extend({
  containerId: z.string(),
  containerIds: z.array(z.string()).optional().describe('All of them, when the job creates several.'),
});
export type AcceptedContainers = z.infer<typeof AcceptedContainers>;

/** The `202` of `POST /jobs/:id/retry`. */
export const AcceptedRetry = Accepted.extend({
  run: z.number().int(),
  containerId: z.string().optional(),
});
export type AcceptedRetry = z.infer<typeof AcceptedRetry>;

/** The answer of every list with a cursor. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().describe('`null` on the last page.'),
    incomplete: z
      .literal(true)
      .optional()
      .describe('Only what is recent is listed: the history can not be read now. Ask again later.'),
  });
export type PageOf<T> = { items: T[]; nextCursor: string | null; incomplete?: true | undefined };

/** The answer of `GET /models`. */
export const Models = z.object({
  items: z.array(z.object({ id: z.string(), hosts: z.number().int().describe('How many hosts serve it.') })),
});
export type Models = z.infer<typeof Models>;

/** The answer of `GET /realtime/tokens`. */
export const ShareLinkList = z.object({ items: z.array(ShareLink).max(MAX_SHARE_LINKS) });
export type ShareLinkList = z.infer<typeof ShareLinkList>;

/** The answer of `GET /webhooks/secret`. */
export const WebhookSecret = z.object({ secret: z.string().regex(/^whsec_/) });
export type WebhookSecret = z.infer<typeof WebhookSecret>;
