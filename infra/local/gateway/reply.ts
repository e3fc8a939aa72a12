import { exactInteger } from './json.ts';

/** How strings are written into the answer. Only `base64` keeps bytes that are not UTF-8. */
export type Encoding = 'utf8' | 'base64';

/** One command's answer in Upstash's form. */
export type Answer = { result: unknown } | { error: string };

/**
 * Converts a reply of Redis to JSON: strings by `encoding`, integers with all their digits, null, arrays to
 * any depth. As at Upstash a bare `OK` stays plain in base64 too (nothing encodes to it); inside arrays every
 * string is encoded, as clients decode it.
 */
export function encodeReply(reply: unknown, encoding: Encoding): unknown {
  if (Buffer.isBuffer(reply) && reply.length === 2 && reply.toString('latin1') === 'OK') return 'OK';
  return encodeValue(reply, encoding);
}

function encodeValue(value: unknown, encoding: Encoding): unknown {
  if (Buffer.isBuffer(value)) return value.toString(encoding);
  // The connection reads integers as text; every string of Redis is a buffer.
  if (typeof value === 'string') return exactInteger(value);
  if (Array.isArray(value)) return value.map((item) => encodeValue(item, encoding));
  if (value instanceof Error) return { error: value.message };
  return value;
}
