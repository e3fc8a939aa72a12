import { hash, timingSafeEqual } from 'node:crypto';

/**
 * Checks `Authorization: Bearer <token>`. Digests are compared, so that neither the time nor the length of
 * the comparison reveals anything about the token. Tokens in URLs (`?_token=`) end up in logs and are never
 * accepted.
 */
export function tokenCheck(token: string): (authorization: string | null | undefined) => boolean {
  const expected = digest(token);
  return (authorization) => {
    const given = /^Bearer +(.+)$/i.exec(authorization ?? '')?.[1];
    return given !== undefined && timingSafeEqual(digest(given), expected);
  };
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
