import type { IncomingHttpHeaders } from 'node:http';
import { isAllowedOrigin } from '@warmwind/shared/runtime/origins';

/**
 * May this handshake's page connect? CORS does not protect WebSockets: the `Origin` that every browser sends is checked
 * here. A request without one comes from no browser; one with the relay's own address from a client that sends what it
 * connects to, as python-socketio does: the relay serves no pages.
 *
 * @returns why not, with the remedy
 */
export function originRefusal(
  { origin, host }: IncomingHttpHeaders,
  origins: readonly string[],
): string | undefined {
  if (origin === undefined || isAllowedOrigin(origin, origins) || isOwn(origin, host)) return undefined;
  return origin === 'null'
    ? 'Pages without an origin may not connect: serve the page from an origin in CORS_ORIGINS.'
    : `This page's origin, ${origin.slice(0, 200)}, is not permitted: add it to CORS_ORIGINS of the relay and the edge.`;
}

/** The scheme may be another: TLS may end at a proxy. */
function isOwn(origin: string, host: string | undefined): boolean {
  const scheme = /^https?:\/\//.exec(origin)?.[0];
  if (!scheme || !host || !URL.canParse(origin) || !URL.canParse(scheme + host)) return false;
  const own = new URL(scheme + host);
  return own.pathname === '/' && own.username === '' && new URL(origin).origin === own.origin;
}
