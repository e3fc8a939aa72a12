import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { unquote } from '../http/media-type.ts';

/** A caller's key and what it was used for, as SHA-256: neither is stored in clear. */
export type Idempotency = { keyHash: string; requestHash: string };

/** `undefined` without a key. The same key on another route, path or body is another request. */
export async function idempotencyOf(
  c: Context<AppEnv>,
  key: string | undefined,
  input: unknown,
): Promise<Idempotency | undefined> {
  if (key === undefined) return undefined;
  const [keyHash, requestHash] = await Promise.all([
    // In quotes it is the same key: HTTP's structured headers write it so.
    sha256(unquote(key)),
    sha256(JSON.stringify([c.req.method, c.req.path, input])),
  ]);
  return { keyHash, requestHash };
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
