import { z } from 'zod';
import { isId, isUserId } from './ids.ts';

/**
 * How often a container was placed on a host: the fence of its record. A request for one incarnation is
 * refused by any other, as that is not the desktop that the caller saw.
 */
export const Incarnation = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** SHA-256 in hexadecimal digits. */
const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * The envelope of every call and session to the host of its container. The edge and the relay vouch for it;
 * the host checks every field that it can check itself.
 */
export const RequestEnvelope = z.strictObject({
  /** The id of the call or session, made by the sender of the request. */
  callId: z.string().refine(isId),
  userId: z.string().refine(isUserId),
  containerId: z.string().refine(isId),
  incarnation: Incarnation,
  /** The id of what authenticated the request, never the secret itself: `token:…`, `ticket:…` or `job:…`. */
  credential: z.string().min(1).max(160),
  /** When the caller stops waiting for the answer, ms since 1970. */
  deadline: z.number().int().min(0),
  /** SHA-256 of the input as JSON, exactly as it is sent. */
  inputHash: Sha256,
});
export type RequestEnvelope = z.infer<typeof RequestEnvelope>;

/**
 * Reads `If-Match: "<incarnation>"`.
 * @returns `undefined` for a value that names no incarnation
 */
export function readIncarnation(header: string): number | undefined {
  const [, digits] = /^"(\d{1,15})"$/.exec(header.trim()) ?? [];
  return digits === undefined ? undefined : Number(digits);
}
