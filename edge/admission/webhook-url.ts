import type { Issue } from '@warmwind/shared/contract/errors';
import { isInRanges, isPublicAddress } from '@warmwind/shared/runtime/address';
import type { Config } from '../config.ts';

/** The names of this machine that need no DNS. */
const LOCAL_NAME = /^(.+\.)?localhost\.?$/;

/**
 * Checks the text of a webhook's URL: an address, or a name of this machine, must be public or allowed. The
 * addresses of other names are checked when the webhook is called.
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
