import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';

/** Brings a ledger's schema up to date before anybody uses it. → was it done in time? @param folder another than the usual migrations */
export async function migrateLedger(url: string, withinMs: number, folder?: string): Promise<boolean> {
  const log = createLog('migrations');
  log.level = 'silent';
  const ledger = new Ledger(url, 'migrations', log);
  const late = AbortSignal.timeout(withinMs);
  await ledger.migrate(late, folder).finally(() => ledger.close());
  return !late.aborted;
}
