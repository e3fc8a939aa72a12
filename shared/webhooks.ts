import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** All public addresses of IPv6; what lies outside may stand for an IPv4 one. */
const PUBLIC_IPV6 = ipaddr.parseCIDR('2000::/3');

/** Is this text an address of the public internet? `undefined` when it is no address at all. */
export function isPublicAddress(text: string): boolean | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (!ipaddr.isValid(bare)) return undefined;
  const address = ipaddr.process(bare);
  return address.range() === 'unicast' && (address.kind() === 'ipv4' || address.match(PUBLIC_IPV6));
}

/** Is the address in one of these CIDR ranges? */
export function isInCidrs(address: string, cidrs: string[]): boolean {
  const bare = address.startsWith('[') && address.endsWith(']') ? address.slice(1, -1) : address;
  if (!ipaddr.isValid(bare)) return false;
  const parsed = ipaddr.process(bare);
  return cidrs.some((cidr) => {
    const [base, length] = ipaddr.parseCIDR(cidr);
    return base.kind() === parsed.kind() && parsed.match(base, length);
  });
}

/** `WEBHOOK_ALLOW`: CIDR ranges, comma-separated, that webhooks may go to although they are not public. */
export const WebhookAllow = z
  .string()
  .transform((text) => text.split(',').flatMap((part) => part.trim() || []))
  .refine((cidrs) => cidrs.every((cidr) => ipaddr.isValidCIDR(cidr)), 'write ranges as 10.0.0.0/8');

/**
 * Where a job's owner wants to be told of it. Its host's addresses are judged when it is called, after DNS; one that is
 * written as an address here and now.
 */
export const WebhookUrl = z
  .url({ protocol: /^https?$/, error: 'use an http:// or https:// URL', normalize: true, abort: true })
  .max(2048)
  .refine((text) => {
    const { username, password } = new URL(text);
    return username === '' && password === '';
  }, 'leave user and password out: verify the signature instead');

/** For this long a webhook that is not answered with 2xx is tried again, ms. */
export const WEBHOOK_GIVE_UP_MS = 86_400_000;

/** Operators' alerts are signed as for this user: no token can name one with braces. */
export const OPERATORS = '{alerts}';

/**
 * The secret that signs a user's webhooks (Standard Webhooks: `whsec_` and base64), derived from the deployment's own, so
 * that nobody can sign for another.
 */
export async function webhookSecret(deploymentSecret: string, userId: string): Promise<string> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', bytes(deploymentSecret), algorithm, false, ['sign']);
  const derived = new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes(`webhooks:${userId}`)));
  return `whsec_${btoa(String.fromCharCode(...derived))}`;
}
