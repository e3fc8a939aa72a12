import { Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { isInRanges, isPublicAddress } from '@warmwind/shared/runtime/address';

/** Where a receiver may be: its addresses, after DNS. Rejects like `node:dns` when there are none. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<string[]>;

/** The receiver is where no webhook may go. */
export class AddressRefusedError extends Error {
  override name = 'Refused';
}

const LOOPBACK = ['127.0.0.1', '::1'];
/** One question to one name server, ms, and how often it is asked. */
const QUESTION = { timeout: 2000, tries: 2 };

/**
 * Asks the name servers themselves. The system's `getaddrinfo` keeps one of the process's few threads for as long as a
 * name server is silent, and whoever names a receiver names its servers too.
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
 * A lookup that knows the addresses of `url`'s host already: they are found and judged once, and no other is connected to,
 * whatever DNS says a moment later. Rejects with `Refused` when one is not public and not in `allow`.
 * @param allow CIDR ranges
 */
export async function judged(
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
