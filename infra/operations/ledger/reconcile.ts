/** `npm run ledger:reconcile`: see docs/operations/backup.md. */
import { parseArgs } from 'node:util';
import { Drain } from '@warmwind/shared/engine/node/drain';
import type { ReconciledCounts } from '../../../workers/reconciler/context.ts';
import { Reconciler } from '../../../workers/reconciler/reconcile.ts';
import { createSkip } from '../../../workers/skip.ts';
import { run, table } from './command.ts';
import { type System, withSystem } from './system.ts';

/** Younger work is still on its way between services, ms. */
const AFTER_MS = 15_000;

const DRAINED_WITHIN_MS = 60_000;

/** Drains waiting changes into the ledger first, with their history; a comparison finds the rest. */
async function reconcile({ redis, ledger, records, queue, log }: System): Promise<ReconciledCounts> {
  const drain = new Drain({ redis: redis.queue, ledger, log });
  const deadline = Date.now() + DRAINED_WITHIN_MS;
  while ((await drain.once()) > 0 && Date.now() < deadline);
  const skip = createSkip(log, 'reconcile');
  const reconciler = new Reconciler({
    redis: redis.queue,
    ledger,
    records,
    queue,
    log,
    afterMs: AFTER_MS,
    skip,
  });
  return reconciler.reconcile({ full: true });
}

if (import.meta.main) {
  await run(async (report) => {
    parseArgs();
    report(`Queue, records and ledger agree. Corrected:\n${table(await withSystem('reconcile', reconcile))}`);
    return true;
  });
}
