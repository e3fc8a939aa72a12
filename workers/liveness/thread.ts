import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, disconnect } from '@warmwind/shared/runtime/node/redis';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { Evidence } from './evidence.ts';
import { beat, revive, withdraw } from './liveness.lua.ts';
import type { FromThread, ThreadData, ToThread } from './protocol.ts';
import { monotonicMs, SharedState } from './shared-state.ts';

/*
 * The thread that beats for its process: the main thread may be busy for seconds, which is no death. SIGKILL,
 * SIGSTOP and a lost machine stop it too. It decides nothing about other processes but reports them.
 */

/** Beats in the time after which a process counts as dead. */
const BEATS = 5;
/** Dead processes that one beat finds. */
const MOST_OVERDUE = 8;
/** The pause before a lost connection is opened again, ms: shorter than a beat is late. */
const RECONNECT_MS = 100;
/** The pause after a failed beat, ms. */
const RETRY_MS = 200;

const { url, boot, record, deadAfterMs, buffer, logLevel } = workerData as ThreadData;
const everyMs = deadAfterMs / BEATS;
const log = createLog('workers', { part: 'liveness' });
log.level = logLevel;
const shared = new SharedState(buffer);
const evidence = new Evidence(deadAfterMs);
const stopped = new AbortController();
let wantsLife = false;
/** Whether this thread has reported the present death: one before it may have ended before it was revived. */
let reportedDeath = false;

// A silent connection is replaced after two thirds of the time, so that it is no death.
const redis = connectFailFast(url, 'worker-liveness', log, deadAfterMs / 3, {
  retryStrategy: () => RECONNECT_MS,
});
redis.on('close', () => {
  evidence.reset();
  shared.watches = false;
});

const send = (message: FromThread) => parentPort?.postMessage(message);

async function once(): Promise<void> {
  if (wantsLife && (await runScript(redis, revive, boot, { boot })) === 1) wantsLife = false;
  const found = await runScript(redis, beat, undefined, { boot, deadAfterMs, record, most: MOST_OVERDUE });
  if (found.state === 'dead') {
    evidence.reset();
    shared.watches = false;
    shared.state = 'dead';
    if (!reportedDeath) send({ type: 'dead' });
    reportedDeath = true;
    return;
  }
  reportedDeath = false;
  const wasDead = shared.state === 'dead';
  shared.state = 'alive';
  if (wasDead) send({ type: 'alive' });
  shared.watches = evidence.add(found);
  if (shared.watches && found.overdue.length > 0) send({ type: 'overdue', boots: found.overdue });
}

/** @returns whether the beat was recorded; `connectFailFast` logs that Redis is away */
async function tryOnce(): Promise<boolean> {
  try {
    await once();
    return true;
  } catch (error) {
    log.debug({ err: error }, 'no beat');
    return false;
  }
}

async function run(): Promise<void> {
  shared.tickedAt = monotonicMs();
  while (!stopped.signal.aborted) {
    const now = monotonicMs();
    // The process was frozen: a peer may have declared it dead. The next beat finds out.
    if (shared.state === 'alive' && now - shared.tickedAt >= deadAfterMs) shared.state = 'unsure';
    shared.tickedAt = now;
    const beaten = await tryOnce();
    const pauseMs = beaten ? everyMs : RETRY_MS;
    await sleep(pauseMs, undefined, { signal: stopped.signal }).catch(() => undefined);
  }
  await runScript(redis, withdraw, boot, { boot }).catch(() => undefined);
  await disconnect(redis);
  parentPort?.close();
}

parentPort?.on('message', (message: ToThread) => {
  if (message.type === 'revive') wantsLife = true;
  else stopped.abort();
});
await run();
