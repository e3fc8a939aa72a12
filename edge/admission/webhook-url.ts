import type { Issue } from '@warmwind/shared/contract/errors';
import { isInRanges, isPublicAddress } from '@warmwind/shared/runtime/address';
import type { Config } from '../config.ts';

/** This machine, by the names that need no DNS. */
const LOCAL_NAME = /^(.+\.)?localhost\.?$/;

/**
 * What speaks against a webhook's URL as far as its text tells: an address, or a name of this machine, that is not
 * public and not allowed. What other names resolve to is judged when they are called.
 */
export function webhookIssues(
  url: string | undefined,
  { WEBHOOK_ALLOW }: Pick<Config, 'WEBHOOK_ALLOW'>,
): Issue[] {
  if (url === undefined) return [];
  const { hostname } = new URL(url);
  const address = LOCAL_NAME.test(hostname) ? '127.0.0.1' : hostname;
  if (isPublicAddress(address) !== false || isInRanges(address, WEBHOOK_ALLOW)) return [];
  return [{ path: 'webhookUrl', message: 'use a host on the public internet' }];
}
