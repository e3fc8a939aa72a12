import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';

/** The length of the part of a token's hash that names it, hexadecimal digits. */
const DIGITS = 32;

/**
 * Names the token that authenticated a request without revealing it: by its `jti`, or by a part of its hash.
 */
export async function credentialOf(c: Context<AppEnv>): Promise<string> {
  const { tokenId } = c.get('user');
  if (tokenId !== undefined) return `token:${tokenId}`;
  const [, token = ''] = (c.req.header('Authorization') ?? '').split(/[ \t]+/);
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token));
  return `token:${new Uint8Array(digest).toHex().slice(0, DIGITS)}`;
}
