import type { IncomingMessage } from 'node:http';
import { isAllowedOrigin } from '@warmwind/shared/origins';

/**
 * May this handshake's page connect? CORS does not protect WebSockets: the `Origin` that every browser sends is checked
 * here. A request without one comes from no browser and carries nobody's cookies.
 */
export function originAllowed(req: IncomingMessage, origins: readonly string[]): boolean {
  const { origin } = req.headers;
  return origin === undefined || isAllowedOrigin(origin, origins);
}
