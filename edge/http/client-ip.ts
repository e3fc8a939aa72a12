import { isInRanges } from '@warmwind/shared/runtime/address';

/** The most hops of X-Forwarded-For that are inspected. */
const MAX_HOPS = 32;

/**
 * The address of the client: the one that the platform reports, or, behind `trustedProxies`, the last
 * untrusted hop of X-Forwarded-For. Values that the client itself wrote into the header are further left and
 * are never used.
 */
export function clientIp(headers: Headers, trustedProxies: string[]): string {
  if (trustedProxies.length === 0) return headers.get('CF-Connecting-IP') ?? 'unknown';
  const hops = (headers.get('X-Forwarded-For') ?? '').split(',').slice(-MAX_HOPS);
  const client = hops.map((hop) => hop.trim()).findLast((hop) => !isInRanges(hop, trustedProxies));
  return client || 'unknown';
}
