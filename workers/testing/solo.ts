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
import { Lease } from '../leader/lease.ts';
import { Observer } from '../leader/observer.ts';
import { Liveness } from '../liveness/liveness.ts';
import { Recovery } from '../liveness/recovery.ts';
import { createMetrics } from '../metrics.ts';
import type { Handler } from '../runtime/delivery.ts';
import { JobWorker, MAX_DEATHS } from '../runtime/worker.ts';
import { forEveryKind } from './handlers.ts';

/**
 * A worker process with the real runtime and without desktops, for tests and benchmarks. It serves `QUEUE`,
 * one or several with commas. Its jobs run until they are aborted. It reports the beginning and the end of
 * each, and of its roles. With `DIES` its first job kills it. With `DEAD_AFTER_MS` it beats. The message
 * `{ blockMs }` blocks its main thread. SIGTERM requeues its jobs.
 */
const { QUEUE = '', QUEUE_REDIS = '', REALTIME_REDIS = '', DIES, LOCK_MS, STALLED_EVERY_MS } = process.env;
const { HOST = 'solo', DEAD_AFTER_MS = '0', LEASE_MS = '10000' } = process.env;
/** A message to the parent process. `at`: ms since 1970, comparable between the processes of this machine. */
export type ProcessMessage = {
  what:
    | 'ready'
    | 'watches'
    | 'watches no more'
    | 'begins'
    | 'stops'
    | 'leads'
    | 'leads no more'
    | 'holds'
    | 'holds no more'
    | 'blocked';
  jobId: string;
  at: number;
};
const send = (what: ProcessMessage['what'], jobId = '') =>
  process.send?.({ what, jobId, at: performance.timeOrigin + performance.now() } satisfies ProcessMessage);

const log = createLog('bench');
log.level = process.env.LOG_LEVEL ?? 'silent';
const boot = newId();
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
const queues = QUEUE.split(',');
const liveness = new Liveness({
  url: QUEUE_REDIS,
  boot,
  record: { host: HOST, queues: Object.fromEntries(queues.map((name) => [name, MAX_DEATHS])) },
  deadAfterMs: Number(DEAD_AFTER_MS),
  log,
});
const mayHold = () => liveness.mayAct;
const workers = queues.map(
  (name) =>
    new JobWorker(
      { boot, redis, records, ledger: undefined, metrics, log, queue },
      {
        queue: name,
        concurrency: 16,
        requeuesAtShutdown: true,
        ...(LOCK_MS ? { lockMs: Number(LOCK_MS) } : {}),
        ...(STALLED_EVERY_MS ? { stalledEveryMs: Number(STALLED_EVERY_MS) } : {}),
      },
      forEveryKind(handler),
    ),
);
const followUp = new CancellationFollowUp({ redis, records, queue, log, endContainer: async () => {} });
const observer = new Observer({ redis, records, metrics, log });
const leader = new Leader({
  redis: failFast,
  key: keys.observerLease(),
  holder: boot,
  ttlMs: Number(LEASE_MS),
  mayHold,
  onChange: (held) => send(held ? 'leads' : 'leads no more'),
  log,
  tasks: [
    { name: 'queue events', everyMs: 1000, run: (signal) => observer.watch(signal) },
    { name: 'cancellations', everyMs: 1000, run: () => followUp.followAll() },
  ],
});
const cancellations = new CancellationSubscriber(redis, log, (cancelled) => {
  for (const worker of workers) worker.cancel(cancelled);
  if (leader.leads) void followUp.follow(cancelled);
});

const lease = new Lease({
  redis: failFast,
  key: keys.hostLease(HOST),
  holder: boot,
  ttlMs: Number(LEASE_MS),
  mayHold,
  onChange: (held) => send(held ? 'holds' : 'holds no more'),
  log,
});
const recovery = new Recovery({ redis: failFast, stalledEveryMs: 5000, metrics, log });

process.on('message', ({ blockMs }: { blockMs: number }) => {
  const until = performance.now() + blockMs;
  while (performance.now() < until);
  send('blocked');
});
process.once('SIGTERM', async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  await liveness.close();
  process.exit();
});
liveness.start({
  onOverdue: (boots) => void recovery.recover(boots),
  onDead: () => {
    lease.drop();
    leader.drop();
    return Promise.all(workers.map((worker) => worker.drop()));
  },
  onAlive: () => {
    for (const worker of workers) worker.run();
  },
});
cancellations.start();
leader.start();
lease.start();
for (const worker of workers) worker.run();
let watches = false;
setInterval(() => {
  if (liveness.watches !== watches) send(liveness.watches ? 'watches' : 'watches no more');
  watches = liveness.watches;
}, 50);
// By then the worker has read the queue once.
setTimeout(() => send('ready'), 300);
