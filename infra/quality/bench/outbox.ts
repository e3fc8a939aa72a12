import { keys } from '@warmwind/shared/engine/keys';
import {
  type ContainerRow,
  containerRecord,
  type JobRow,
  jobRecord,
} from '@warmwind/shared/engine/ledger/rows';
import { recordSubmission } from '@warmwind/shared/engine/ledger/submissions';
import { Drain } from '@warmwind/shared/engine/node/drain';
import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import { type Figure, median, percentile } from './report.ts';

const USERS = 200;

type Parts = { redis: Redis; ledger: Ledger; log: Logger };

const jobOf = (userId: string): JobRow => ({
  id: crypto.randomUUID(),
  userId,
  kind: 'container.start',
  state: 'queued',
  run: 1,
  fence: 0,
  attemptsMade: 0,
  queue: 'containers',
  containerId: crypto.randomUUID(),
  containerIds: null,
  requestId: crypto.randomUUID(),
  priority: 5,
  priorityClass: 5,
  timeoutMs: 0,
  webhookUrl: '',
  labels: null,
  result: null,
  error: null,
  createdAt: new Date(),
  startedAt: null,
  finishedAt: null,
});
const desktopOf = (job: JobRow): ContainerRow => ({
  id: job.containerId,
  userId: job.userId,
  name: 'desktop',
  state: 'requested',
  image: 'desktop',
  width: 1280,
  height: 720,
  spec: { image: 'warmwind/desktop:latest', width: 1280, height: 720 },
  jobId: job.id,
  host: '',
  boot: '',
  fence: 0,
  instanceId: '',
  error: null,
  createdAt: job.createdAt,
  startedAt: null,
  expiresAt: null,
  endedAt: null,
  endReason: null,
  labels: null,
  warm: false,
  usedAt: null,
  pausedBy: null,
  exit: null,
});

/**
 * Measures how fast one process moves changes into the ledger: start and end of `jobs` jobs of many users.
 */
export async function measureDrain({ redis, ledger, log }: Parts, jobs: number): Promise<Figure[]> {
  const pipeline = redis.pipeline();
  for (let i = 0; i < jobs; i++) {
    const user = `drained-${i % USERS}`;
    const job = jobOf(user);
    const active: JobRow = { ...job, state: 'active', fence: 1, startedAt: new Date() };
    const completed: JobRow = { ...active, state: 'completed', finishedAt: new Date() };
    for (const row of [active, completed]) {
      const entry = ['k', 'job', 't', `${Date.now()}`, 'r', JSON.stringify(jobRecord(row))];
      pipeline.xadd(keys.changes(user), '*', ...entry);
      pipeline.zincrby(keys.changedUsers(), 1, user);
    }
  }
  await pipeline.exec();
  const drain = new Drain({ redis, ledger, log });
  const start = performance.now();
  let moved = 0;
  while (moved < 2 * jobs) {
    const some = await drain.once();
    if (some === 0) throw new Error(`the drain stopped after ${moved} changes`);
    moved += some;
  }
  return [{ name: 'changes moved', value: (moved / (performance.now() - start)) * 1000, unit: '/s' }];
}

/** Measures the time of a placement, with the ledger and without. */
export async function measurePlacements(
  { redis, ledger, log }: Parts,
  placements: number,
): Promise<Figure[]> {
  const publisher = new Publisher(redis, log);
  const all = {
    'placement with the ledger': new Records(redis, publisher, ledger),
    'placement without': new Records(redis, publisher),
  };
  const figures: Figure[] = [];
  const times = new Map(Object.keys(all).map((name) => [name, [] as number[]]));
  for (let i = 0; i < placements; i++) {
    for (const [name, records] of Object.entries(all)) {
      const job = jobOf('placed');
      const container = desktopOf(job);
      await ledger.run((db) =>
        recordSubmission(db, { job, containers: [container], idempotency: undefined }),
      );
      await redis.hset(keys.container(job.userId, container.id), containerRecord(container));
      const start = performance.now();
      const ref = { userId: job.userId, containerId: container.id };
      const { verdict } = await records.containers.assign(ref, {
        fence: 0,
        host: 'host-1',
        boot: 'boot-1',
        instanceId: 'i-boot-1',
      });
      if (verdict !== 'ok') throw new Error(`a placement was ${verdict}`);
      times.get(name)?.push(performance.now() - start);
    }
  }
  for (const [name, taken] of times) {
    figures.push({ name: `${name} p50`, value: median(taken), unit: 'ms' });
    figures.push({ name: `${name} p95`, value: percentile(taken, 95), unit: 'ms' });
  }
  publisher.close();
  return figures;
}
