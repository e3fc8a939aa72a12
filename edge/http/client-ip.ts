import { isInRanges } from '@warmwind/shared/runtime/address';

/** More hops than this in X-Forwarded-For are not looked at. */
const MAX_HOPS = 32;

/**
 * The address of the client: what the platform says, or behind `trustedProxies` the last hop of X-Forwarded-For that is
 * none of them. What a client writes into these headers itself stands further left and is never used.
 */
export function clientIp(headers: Headers, trustedProxies: string[]): string {
  if (trustedProxies.length === 0) return headers.get('CF-Connecting-IP') ?? 'unknown';
  const hops = (headers.get('X-Forwarded-For') ?? '').split(',').slice(-MAX_HOPS);
  const client = hops.map((hop) => hop.trim()).findLast((hop) => !isInRanges(hop, trustedProxies));
  return client || 'unknown';
}
