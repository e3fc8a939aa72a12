import { newId } from '@warmwind/shared/contract/ids';
import { keys } from '@warmwind/shared/engine/keys';
import { Publisher } from '@warmwind/shared/engine/node/publisher';
import { Records } from '@warmwind/shared/engine/node/records';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing } from '@warmwind/shared/runtime/node/redis';
import { Queue } from 'bullmq';
import { Registry } from 'prom-client';
import { CancellationFollowUp } from '../cancellation/follow-up.ts';
import { CancellationSubscriber } from '../cancellation/subscriber.ts';
import { Leader } from '../leader/leader.ts';
import { Observer } from '../leader/observer.ts';
import { createMetrics } from '../metrics.ts';
import type { Handler } from '../runtime/delivery.ts';
import { JobWorker } from '../runtime/worker.ts';
import { forEveryKind } from './handlers.ts';

/**
 * A worker process with the real runtime and without desktops, for tests and benchmarks. Its jobs run until
 * they are aborted. It reports the beginning and the end of each. With `DIES` its first job kills it. SIGTERM
 * requeues its jobs.
 */
const { QUEUE = '', QUEUE_REDIS = '', REALTIME_REDIS = '', DIES, LOCK_MS, STALLED_EVERY_MS } = process.env;
/** A message to the parent process. `at`: ms since 1970, comparable between the processes of this machine. */
export type ProcessMessage = { what: 'ready' | 'begins' | 'stops'; jobId: string; at: number };
const send = (what: ProcessMessage['what'], jobId = '') =>
  process.send?.({ what, jobId, at: performance.timeOrigin + performance.now() } satisfies ProcessMessage);

const log = createLog('bench');
log.level = 'silent';
const redis = connectQueueing(QUEUE_REDIS, 'bench', log);
const failFast = connectFailFast(QUEUE_REDIS, 'bench', log);
const records = new Records(redis, new Publisher(connectQueueing(REALTIME_REDIS, 'bench', log), log));
const metrics = createMetrics(new Registry(), async () => {});
const queue = (name: string) => new Queue(name, { connection: redis, prefix: keys.bullmqPrefix(name) });
const handler: Handler = ({ data, signal }) => {
  send('begins', data.jobId);
  if (DIES) process.kill(process.pid, 'SIGKILL');
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      send('stops', data.jobId);
      reject(new Error('aborted'));
    });
  });
};
const worker = new JobWorker(
  { redis, records, ledger: undefined, metrics, log, queue },
  {
    queue: QUEUE,
    concurrency: 16,
    requeuesAtShutdown: true,
    ...(LOCK_MS ? { lockMs: Number(LOCK_MS) } : {}),
    ...(STALLED_EVERY_MS ? { stalledEveryMs: Number(STALLED_EVERY_MS) } : {}),
  },
  forEveryKind(handler),
);
const followUp = new CancellationFollowUp({ redis, records, queue, log, endContainer: async () => {} });
const observer = new Observer({ redis, records, metrics, log });
const leader = new Leader({
  redis: failFast,
  key: keys.observerLease(),
  holder: newId(),
  ttlMs: 10_000,
  log,
  tasks: [
    { name: 'queue events', everyMs: 1000, run: (signal) => observer.watch(signal) },
    { name: 'cancellations', everyMs: 1000, run: () => followUp.followAll() },
  ],
});
const cancellations = new CancellationSubscriber(redis, log, (cancelled) => {
  worker.cancel(cancelled);
  if (leader.leads) void followUp.follow(cancelled);
});

process.once('SIGTERM', async () => {
  await worker.close();
  process.exit();
});
cancellations.start();
leader.start();
worker.run();
// By then the worker has read the queue once.
setTimeout(() => send('ready'), 300);
