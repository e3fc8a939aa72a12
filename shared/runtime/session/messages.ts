import { z } from 'zod';
import { RequestEnvelope } from '../../contract/envelope.ts';
import { ERROR_STATUS, type ErrorCode } from '../../contract/errors.ts';
import { SESSION_CODES, SessionOffset } from '../../contract/sessions/codes.ts';
import { MAX_CHUNK_BYTES, type SessionFrame } from './frames.ts';

/** The frames of a session without the bytes of data. */
const FRAMES = [
  z.object({ t: z.literal('data'), offset: SessionOffset }),
  z.object({ t: z.literal('end'), offset: SessionOffset }),
  z.object({
    t: z.literal('ack'),
    received: SessionOffset,
    consumed: SessionOffset,
    resend: z.boolean().optional(),
  }),
] as const;

export type FrameHead = z.infer<(typeof FRAMES)[number]>;

/** A message from a relay node to the host of a container; `link` names the attachment of one client. */
const ToSessionHost = z.discriminatedUnion('t', [
  z.object({ t: z.literal('open'), envelope: RequestEnvelope, kind: z.string(), input: z.string() }),
  z.object({ t: z.literal('attach'), userId: z.string(), received: SessionOffset }),
  z.object({ t: z.literal('detach') }),
  z.object({ t: z.literal('abort'), message: z.string() }),
  ...FRAMES,
]);
const Addressed = z.object({ session: z.string(), link: z.string() });
export type ToSessionHost = z.infer<typeof ToSessionHost>;

/** A message from the host to the attachment of a client. */
export const FromSessionHost = z.discriminatedUnion('t', [
  z.object({ t: z.literal('attached'), expiresAt: z.number(), incarnation: z.number() }),
  z.object({
    t: z.literal('refused'),
    code: z.enum(Object.keys(ERROR_STATUS) as ErrorCode[]),
    message: z.string(),
  }),
  /** Another attachment took the session over. */
  z.object({ t: z.literal('replaced') }),
  z.object({
    t: z.literal('closed'),
    code: z.enum(SESSION_CODES),
    message: z.string(),
    result: z.unknown().optional(),
  }),
  ...FRAMES,
]);
export type FromSessionHost = z.infer<typeof FromSessionHost>;

const EMPTY = new Uint8Array(0);
/** The longest first line of a message: the input of a session is a part of it. */
const MAX_HEAD_BYTES = 128 * 1024;
const NEWLINE = 10;

/** Adds the bytes to the frame of a message. */
export const frameOf = (head: FrameHead, bytes: Uint8Array): SessionFrame =>
  head.t === 'data' ? { ...head, bytes } : head;

/** A message on a channel of sessions: a line of JSON, and the bytes of data. */
export function packSessionMessage(head: object, bytes: Uint8Array = EMPTY): Uint8Array {
  const line = new TextEncoder().encode(`${JSON.stringify(head)}\n`);
  const message = new Uint8Array(line.length + bytes.length);
  message.set(line);
  message.set(bytes, line.length);
  return message;
}

function unpack(message: Uint8Array): { head: unknown; bytes: Uint8Array } | undefined {
  const end = message.subarray(0, MAX_HEAD_BYTES).indexOf(NEWLINE);
  if (end < 0 || message.length - end - 1 > MAX_CHUNK_BYTES) return undefined;
  try {
    const head: unknown = JSON.parse(new TextDecoder().decode(message.subarray(0, end)));
    return { head, bytes: message.subarray(end + 1) };
  } catch {
    return undefined;
  }
}

/**
 * Reads a message of a relay node.
 * @returns `undefined` for anything else
 */
export function readToSessionHost(message: Uint8Array) {
  const { head, bytes } = unpack(message) ?? {};
  const address = Addressed.safeParse(head).data;
  const parsed = ToSessionHost.safeParse(head).data;
  return address && parsed && bytes ? { ...address, head: parsed, bytes } : undefined;
}

/**
 * Reads a message of a host.
 * @returns `undefined` for anything else
 */
export function readFromSessionHost(message: Uint8Array) {
  const { head, bytes } = unpack(message) ?? {};
  const parsed = FromSessionHost.safeParse(head).data;
  return parsed && bytes ? { head: parsed, bytes } : undefined;
}
