import type { IncomingHttpHeaders } from 'node:http';
import { isAllowedOrigin } from '@warmwind/shared/runtime/origins';

/**
 * Checks the `Origin` of a handshake, which every browser sends: CORS does not protect WebSockets. A request
 * without `Origin` does not come from a browser. The relay's own address is allowed too: the relay serves no
 * pages, and some clients (python-socketio) send the address that they connect to.
 *
 * @returns the reason and remedy when the page may not connect
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

/** Compares without the scheme, because TLS may end at a proxy. */
function isOwn(origin: string, host: string | undefined): boolean {
  const scheme = /^https?:\/\//.exec(origin)?.[0];
  if (!scheme || !host || !URL.canParse(origin) || !URL.canParse(scheme + host)) return false;
  const own = new URL(scheme + host);
  return own.pathname === '/' && own.username === '' && new URL(origin).origin === own.origin;
}
