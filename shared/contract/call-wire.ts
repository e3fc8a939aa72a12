import { z } from 'zod';
import { jsonText } from '../runtime/json.ts';
import { RequestEnvelope } from './envelope.ts';
import { isErrorCode } from './errors.ts';
import { isId } from './ids.ts';

/**
 * The messages between the sender of a call (a relay node, or a worker that reads a screen) and its
 * container's host.
 */

/** The path of the relay's route for a call of this kind, which takes a ticket. */
export const callPath = (containerId: string, kind: string): string =>
  `/containers/${containerId}/calls/${kind}`;

/** The largest input of a call, as JSON: characters. */
export const MAX_CALL_INPUT = 256 * 1024;
/** A larger answer does not go through the channel: its bytes are fetched. */
export const MAX_INLINE_BYTES = 64 * 1024;
/** The largest head of a reply, bytes. */
export const MAX_REPLY_HEAD_BYTES = 16 * 1024;

const Id = z.string().refine(isId);
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** A message to the host of a container. */
export const ToCallHost = z.discriminatedUnion('t', [
  z.strictObject({
    t: z.literal('call'),
    envelope: RequestEnvelope,
    kind: z.string().max(64),
    /** The process that sent it and waits for the reply. */
    caller: Id,
    /** SHA-256 of the `Idempotency-Key`. */
    keyHash: Sha256.optional(),
    input: z.string().max(MAX_CALL_INPUT),
  }),
  /** The caller no longer waits for the answer. */
  z.strictObject({ t: z.literal('abort'), callId: Id }),
]);
export type ToCallHost = z.infer<typeof ToCallHost>;

const Failure = z.object({
  code: z.string().refine(isErrorCode),
  message: z.string().max(1000),
  issues: z
    .array(z.object({ path: z.string().max(200), message: z.string().max(500) }))
    .max(20)
    .optional(),
  retryAfterMs: z.number().min(0).optional(),
  limit: z.number().optional(),
  used: z.number().optional(),
});
export type CallFailure = z.infer<typeof Failure>;

/** The outcome of a call, as it is sent and as it is kept for a request that is sent again. */
export const CallOutcome = z.discriminatedUnion('outcome', [
  z.object({
    outcome: z.literal('done'),
    /** Media type and headers of the answer. */
    type: z.string().max(100),
    headers: z.record(z.string().max(64), z.string().max(256)),
    /** What the caller has is still current: there are no bytes. */
    notModified: z.literal(true).optional(),
  }),
  z.object({ outcome: z.literal('failed'), failure: Failure }),
  /** The call began, and its host died before it answered. */
  z.object({ outcome: z.literal('outcome_unknown') }),
]);
export type CallOutcome = z.infer<typeof CallOutcome>;

const ReplyHead = z.object({
  callId: Id,
  outcome: CallOutcome,
  /** The call was carried out before, for a request with the same `Idempotency-Key`. */
  replayed: z.boolean(),
  /** The answer's size, bytes. */
  bytes: z.number().int().min(0),
  /** Its bytes lie under `callKeys.answer`; else they follow the head. */
  stored: z.boolean(),
});
export type ReplyHead = z.infer<typeof ReplyHead>;

/**
 * Reads the first line of a reply.
 * @returns `undefined` for anything else
 */
export const readReplyHead = (line: string): ReplyHead | undefined =>
  jsonText(ReplyHead).safeParse(line).data;

/**
 * Reads a message to a host.
 * @returns `undefined` for anything else
 */
export const readToCallHost = (text: string): ToCallHost | undefined =>
  text.length > 2 * MAX_CALL_INPUT + 4096 ? undefined : jsonText(ToCallHost).safeParse(text).data;
