import { isIP } from 'node:net';
import {
  convertIPv4BinaryToString,
  convertIPv4MappedIPv6ToIPv4,
  convertIPv4ToBinary,
  convertIPv6BinaryToString,
  convertIPv6ToBinary,
  isIPv4MappedIPv6,
} from 'hono/utils/ipaddr';

/** An IP address as a number of `bits` bits; an IPv4 address mapped into IPv6 counts as IPv4. */
type Address = { bits: 32 | 128; value: bigint };

function parseAddress(text: string): Address | undefined {
  const version = isIP(text);
  if (version === 4) return { bits: 32, value: convertIPv4ToBinary(text) };
  if (version !== 6 || text.includes('%')) return undefined;
  const value = convertIPv6ToBinary(text);
  return isIPv4MappedIPv6(value)
    ? { bits: 32, value: convertIPv4MappedIPv6ToIPv4(value) }
    : { bits: 128, value };
}

function parseRange(text: string): (Address & { length: number }) | undefined {
  const [base = '', suffix, ...rest] = text.split('/');
  const address = parseAddress(base);
  if (!address || rest.length > 0 || (suffix !== undefined && !/^\d{1,3}$/.test(suffix))) return undefined;
  const length = suffix === undefined ? address.bits : Number(suffix);
  return length <= address.bits ? { ...address, length } : undefined;
}

/** Is it an address or a CIDR range? */
export const isAddressRange = (text: string): boolean => parseRange(text) !== undefined;

/** Does `address` lie in one of the CIDR `ranges`? */
export function isInRanges(address: string, ranges: string[]): boolean {
  const parsed = parseAddress(address);
  if (!parsed) return false;
  return ranges.some((text) => {
    const range = parseRange(text);
    if (!range || range.bits !== parsed.bits) return false;
    const shift = BigInt(range.bits - range.length);
    return parsed.value >> shift === range.value >> shift;
  });
}

/**
 * The subject that a client's address is limited as: an IPv4 address itself, the /64 of an IPv6 address (one
 * subscriber has all of it). `unknown` for what is no address.
 */
export function limitSubject(address: string): string {
  const parsed = parseAddress(address);
  if (!parsed) return 'unknown';
  if (parsed.bits === 32) return convertIPv4BinaryToString(parsed.value);
  return convertIPv6BinaryToString((parsed.value >> 64n) << 64n);
}
