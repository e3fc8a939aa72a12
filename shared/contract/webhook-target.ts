import { z } from 'zod';
import { isAddressRange } from '../runtime/address.ts';

/** `WEBHOOK_ALLOW`: CIDR ranges, comma-separated, that webhooks may go to although they are not public. */
export const WebhookAllow = z
  .string()
  .transform((text) => text.split(',').flatMap((part) => part.trim() || []))
  .refine((cidrs) => cidrs.every(isAddressRange), 'write ranges as 10.0.0.0/8');

/**
 * The URL that a job's webhooks are sent to. The addresses of its host are checked when it is called, after
 * DNS; an address in the URL already at submission.
 */
export const WebhookUrl = z
  .url({ protocol: /^https?$/, error: 'use an http:// or https:// URL', normalize: true, abort: true })
  .max(2048)
  .refine((text) => {
    const { username, password } = new URL(text);
    return username === '' && password === '';
  }, 'leave user and password out: verify the signature instead');

/** How long a webhook that is not answered with 2xx is tried again, ms. */
export const WEBHOOK_DEADLINE_MS = 86_400_000;

/** Operators' alerts are signed as for this user: no token can name one with braces. */
export const OPERATORS = '{alerts}';

/**
 * The secret that signs a user's webhooks (Standard Webhooks: `whsec_` and base64), derived from the
 * deployment's own, so that no user can sign for another.
 */
export async function webhookSecret(deploymentSecret: string, userId: string): Promise<string> {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', bytes(deploymentSecret), algorithm, false, ['sign']);
  const derived = new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes(`webhooks:${userId}`)));
  return `whsec_${btoa(String.fromCharCode(...derived))}`;
}
