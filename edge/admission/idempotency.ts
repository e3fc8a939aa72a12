import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unquote } from '../http/media-type.ts';

/** A caller's key and the request it was used for, as SHA-256: neither is stored in clear. */
export type Idempotency = { keyHash: string; requestHash: string };

/**
 * Hashes the key and request of a submission. The same key on another route, path or body is another request.
 * @returns `undefined` without a key
 */
export async function idempotencyOf(
  c: Context<AppEnv>,
  key: string | undefined,
  input: unknown,
): Promise<Idempotency | undefined> {
  if (key === undefined) return undefined;
  const [keyHash, requestHash] = await Promise.all([
    // A quoted key is the same key: HTTP's structured headers quote it.
    sha256(unquote(key)),
    sha256(JSON.stringify([c.req.method, c.req.path, input])),
  ]);
  return { keyHash, requestHash };
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
