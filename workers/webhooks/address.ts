import { Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { isInRanges, isPublicAddress } from '@warmwind/shared/runtime/address';

/** Resolves the addresses of a receiver. Rejects as `node:dns` does when there are none. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<string[]>;

/** Thrown for a receiver whose address is neither public nor allowed. */
export class AddressRefusedError extends Error {
  override name = 'AddressRefusedError';
}

const LOOPBACK = ['127.0.0.1', '::1'];
/** Time-out of one query to a name server, ms, and the number of tries. */
const QUESTION = { timeout: 2000, tries: 2 };

/**
 * Queries the name servers directly. The system's `getaddrinfo` blocks one of the process's few threads while
 * a name server is silent, and the owner of a receiver's domain controls its name servers.
 */
export const resolvePublic: Resolve = async (host, signal) => {
  if (/(^|\.)localhost\.?$/i.test(host)) return LOOPBACK;
  const resolver = new Resolver(QUESTION);
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    const [failed] = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
    if (found.length === 0) throw failed;
    return found;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};

/**
 * Resolves and checks the addresses of `url`'s host once, and creates a lookup that returns only those, so
 * that a later change of DNS has no effect.
 * @param allow CIDR ranges
 * @throws AddressRefusedError when an address is not public and not in `allow`
 */
export async function createCheckedLookup(
  url: URL,
  allow: string[],
  resolve: Resolve,
  signal: AbortSignal,
): Promise<LookupFunction> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) ? [host] : await resolve(host, signal);
  for (const address of addresses) {
    if (!isPublicAddress(address) && !isInRanges(address, allow)) {
      throw new AddressRefusedError('its address is not a public one, and not in WEBHOOK_ALLOW');
    }
  }
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_, options, done) => {
    const [first] = all;
    if (options.all) done(null, all);
    else done(null, first?.address ?? '', first?.family);
  };
}
