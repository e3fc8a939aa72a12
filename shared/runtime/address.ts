import ipaddr, { type IPv4, type IPv6 } from 'ipaddr.js';

/** All public addresses of IPv6; those outside may embed an IPv4 address. */
const PUBLIC_IPV6 = ipaddr.parseCIDR('2000::/3');

/** An address as text; IPv4 as four decimal numbers, no zone. One that is mapped into IPv6 counts as IPv4. */
function parseAddress(text: string): IPv4 | IPv6 | undefined {
  const isAddress = text.includes(':') ? ipaddr.IPv6.isValid(text) : ipaddr.IPv4.isValidFourPartDecimal(text);
  return isAddress && !text.includes('%') ? ipaddr.process(text) : undefined;
}

const bitsOf = (address: IPv4 | IPv6): number => address.toByteArray().length * 8;

/** An address, or a CIDR range. */
function parseRange(text: string): [IPv4 | IPv6, length: number] | undefined {
  const [, base = '', suffix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = parseAddress(base);
  if (!address) return undefined;
  const length = suffix === undefined ? bitsOf(address) : Number(suffix);
  return length <= bitsOf(address) ? [address, length] : undefined;
}

/** Is the text an address or a CIDR range? */
export const isAddressRange = (text: string): boolean => parseRange(text) !== undefined;

const withoutBrackets = (text: string): string =>
  text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;

/** Is `address`, also as a URL writes it, in one of these ranges? */
export function isInRanges(address: string, ranges: readonly string[]): boolean {
  const parsed = parseAddress(withoutBrackets(address));
  if (!parsed) return false;
  return ranges.some((text) => {
    const [base, length = 0] = parseRange(text) ?? [];
    return base?.kind() === parsed.kind() && parsed.match(base, length);
  });
}

/** Is this text an address of the public internet? `undefined` when it is no address at all. */
export function isPublicAddress(text: string): boolean | undefined {
  const bare = withoutBrackets(text);
  if (!ipaddr.isValid(bare)) return undefined;
  const address = ipaddr.process(bare);
  return address.range() === 'unicast' && (address.kind() === 'ipv4' || address.match(PUBLIC_IPV6));
}

/**
 * The subject that a client's address is rate-limited as: an IPv4 address itself, or the /64 of an IPv6
 * address (one subscriber has all of it).
 * @returns `unknown` for a text that is no address
 */
export function limitSubject(text: string): string {
  const address = parseAddress(text);
  if (!address) return 'unknown';
  if (address instanceof ipaddr.IPv4) return address.toString();
  return new ipaddr.IPv6([...address.parts.slice(0, 4), 0, 0, 0, 0]).toString();
}
