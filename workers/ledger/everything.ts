import { keys } from '@warmwind/shared/keys';
import { containerRow, jobRow } from '@warmwind/shared/ledger/rows';
import { recordIdempotencyKeys } from '@warmwind/shared/ledger/submissions';
import { ENDED_RECORD_TTL_MS } from '@warmwind/shared/records';
import { recordAhead } from './ahead.ts';
import { allRecords, answers, scan } from './pages.ts';
import type { Pass } from './reconcile.ts';

/** A key of this kind: its owner, and the hash. */
const KEY = /^ww:\{([^{}]+)\}:idem:([0-9a-f]{64})$/;

/** Records every job, desktop and idempotency key that Redis knows and the ledger does not, or knows less of. */
export async function recordEverything(pass: Pass): Promise<void> {
  await recordKeys(pass);
  for await (const found of allRecords(pass, 'job')) {
    const jobs = found.map(({ user, record }) => jobRow(user, record));
    await recordAhead(pass, { jobs, containers: [] });
  }
  for await (const found of allRecords(pass, 'container')) {
    const containers = found.map(({ user, record }) => containerRow(user, record));
    await recordAhead(pass, { jobs: [], containers });
  }
}

/** Records what idempotency keys were used for, as far as Redis remembers it and the ledger does not. */
async function recordKeys(pass: Pass): Promise<void> {
  const { redis, ledger, count } = pass;
  for await (const names of scan(pass, keys.idempotency('*', '*'))) {
    const reads = redis.pipeline();
    for (const name of names) reads.get(name).pttl(name);
    const found = await answers<string | number | null>(reads.exec());
    const used = names.flatMap((name, i) => {
      const [, userId, keyHash] = KEY.exec(name) ?? [];
      const [value, leftMs] = [found[2 * i], Number(found[2 * i + 1])];
      if (!userId || !keyHash || typeof value !== 'string' || leftMs <= 0) return [];
      const { hash: requestHash, jobId, containerId } = JSON.parse(value) as Record<string, string>;
      if (!requestHash || !jobId || containerId === undefined) return [];
      const createdAt = new Date(Date.now() - Math.max(0, ENDED_RECORD_TTL_MS - leftMs));
      return [{ userId, keyHash, requestHash, jobId, containerId, createdAt }];
    });
    const recorded = used.length > 0 ? await ledger.run((db) => recordIdempotencyKeys(db, used)) : 0;
    for (let i = 0; i < recorded; i++) count('recorded');
  }
}
