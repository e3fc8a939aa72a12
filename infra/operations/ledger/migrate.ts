import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';

/**
 * Migrates a ledger's schema before services use it.
 * @param folder another folder than the usual migrations
 * @returns whether it was done in time
 */
export async function migrateLedger(url: string, withinMs: number, folder?: string): Promise<boolean> {
  const log = createLog('migrations');
  log.level = 'silent';
  const ledger = new Ledger(url, 'migrations', log);
  const late = AbortSignal.timeout(withinMs);
  await ledger.migrate(late, folder).finally(() => ledger.close());
  return !late.aborted;
}
