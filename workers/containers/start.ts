import { hasEnded } from '@warmwind/shared/contract/containers';
import { newId } from '@warmwind/shared/contract/ids';
import type { JobResults } from '@warmwind/shared/contract/registry';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { ContainerRecord } from '@warmwind/shared/engine/node/records';
import type { Handler, JobContext } from '../runtime/delivery.ts';
import { classify, type FailureCode, JobFailureError } from '../runtime/failures.ts';
import { CancelledError, RequeueError, reasonOf } from '../runtime/outcome.ts';
import type { Found } from './engine.ts';
import { type Diagnosis, diagnose } from './exit.ts';
import type { DesktopHost } from './host.ts';
import { NoRoomError } from './reservations.ts';
import { waitForGreeting } from './rfb.ts';
import { runningSince } from './running.ts';
import { type Instance, parseSpec } from './spec.ts';

/** The time-out from the start of a desktop to its first RFB byte, ms. */
const GREETING_WITHIN_MS = 15_000;
/** The delay before the next look at a start that another worker runs, ms. */
const RECHECK_MS = 1000;
/** How often one delivery decides again after it lost a race. */
const MAX_LOOKS = 5;

type StartResult = JobResults['container.start'];

/**
 * Creates the handler of `container.start`. It makes exactly one container, however often it is delivered.
 * The record names the only process that may create it (host, boot and fence) before any part exists. A
 * process that loses the placement removes its instance.
 */
export function createStart(host: DesktopHost): Handler<StartResult> {
  return async (job): Promise<StartResult> => {
    const { containerId } = job.data;
    for (let look = 0; look < MAX_LOOKS; look++) {
      const record = await host.records.containers.get(job.data);
      const finished = finishedStart(record);
      if (finished) {
        await host.records.containers.republish(finished);
        return resultOf(finished);
      }
      if (!record) break;
      if (
        record.host &&
        record.host !== host.name &&
        (await host.presence.mayLive(record.host, record.boot))
      ) {
        throw new RequeueError(RECHECK_MS);
      }
      // No await may come between this check and the registration.
      const joined = host.starting.get(containerId);
      if (joined) {
        await joined.done;
        continue;
      }
      const result = await registered(host, containerId, (abort) => attempt(host, job, record, abort));
      if (result) return result;
    }
    throw new RequeueError(RECHECK_MS);
  };
}

/**
 * Returns the record of a start that is complete; `undefined` while there is work to do.
 * @throws JobFailureError when the start can't complete
 * @throws CancelledError when the desktop was stopped before it ran
 */
function finishedStart(record: ContainerRecord | undefined): ContainerRecord | undefined {
  if (!record) throw new JobFailureError('not_found');
  const { state } = record;
  if (state === 'running' || state === 'paused') return record;
  if (state === 'stopping' || state === 'stopped') {
    // A desktop that ran was started and its end published, even if Redis lost the end of the job.
    if (record.expiresAt !== undefined) return record;
    throw new CancelledError();
  }
  if (state === 'lost') throw new JobFailureError('host_lost');
  if (hasEnded(state))
    throw new JobFailureError((record.error?.code as FailureCode | undefined) ?? 'internal');
  return undefined;
}

const resultOf = ({ containerId, width, height, warm }: ContainerRecord): StartResult => ({
  containerId,
  width,
  height,
  ...(warm ? { warm } : {}),
});

/** Runs `work` as the only start of this desktop in this process. */
async function registered<T>(
  host: DesktopHost,
  containerId: string,
  work: (abort: AbortController) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const running = work(abort);
  host.starting.set(containerId, { abort, done: running.catch(() => undefined) });
  try {
    return await running;
  } finally {
    host.starting.delete(containerId);
  }
}

/**
 * Finds the running container of a recorded placement of this process. Its start was active and Redis lost
 * that state; the start adopts it and makes no second one.
 */
async function ownContainer(
  { engine, name, boot }: DesktopHost,
  record: ContainerRecord,
): Promise<Found | undefined> {
  if (record.state !== 'starting' || record.host !== name || record.boot !== boot) return undefined;
  return engine.findRunning(record).catch(() => undefined);
}

/**
 * Places the container on this host as a new instance.
 * @returns `undefined` when another host has it or it is gone
 */
async function place(
  { records, admission, name, boot }: DesktopHost,
  record: ContainerRecord,
  instanceId: string,
): Promise<Instance | undefined> {
  const { containerId, fence: before } = record;
  const release = () => admission.release({ containerId, instanceId });
  const placing = { fence: before, host: name, boot, instanceId };
  const placed = await records.containers.assign(record, placing).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  if (placed.verdict === 'ok') return { containerId, instanceId, fence: placed.fence };
  await release();
  return undefined;
}

/**
 * Makes one placement, from its record to the first RFB byte.
 * @returns `undefined` when another process has the desktop
 */
async function attempt(
  host: DesktopHost,
  job: JobContext,
  record: ContainerRecord,
  stopped: AbortController,
): Promise<StartResult | undefined> {
  const { engine, records, metrics } = host;
  const { containerId } = record;
  const adopted = await ownContainer(host, record);
  const instanceId = newId();
  const refusal = adopted ? undefined : await host.admission.refusal(record, instanceId, job);
  if (refusal instanceof RequeueError) {
    await job.progress(0, 'waiting: no host has room for it now');
    throw refusal;
  }
  const instance = adopted ? record : await place(host, record, instanceId);
  if (!instance) return undefined;
  const { fence } = instance;
  const signal = AbortSignal.any([job.signal, stopped.signal]);
  // A call to the engine can't be cancelled: an abort leaves it running, and its result is removed after it.
  let calling: Promise<unknown> = Promise.resolve();
  const call = <T>(work: Promise<T>): Promise<T> => {
    calling = work.catch(() => undefined);
    return unlessAborted(work, signal);
  };
  const withdraw = async () => {
    await calling;
    await engine.removeInstance(instance).then(
      () => Promise.all([host.admission.release(instance), host.volumes.removed(instance.instanceId)]),
      (error: unknown) => job.log.warn({ err: error, containerId }, 'desktop not removed: the sweep retries'),
    );
  };
  const stopTimer = metrics.startSeconds.startTimer();
  job.log.info(
    { containerId, fence, instance: instance.instanceId },
    adopted ? 'desktop adopted' : 'desktop placed',
  );
  try {
    const spec = parseSpec(record.spec);
    if (refusal) throw refusal;
    await job.progress(10, 'placed on a host');
    const id = adopted?.id ?? (await call(engine.create(instance, spec)));
    await job.progress(30, 'container created');
    if (!adopted) await call(engine.start(id));
    await waitForGreeting(await engine.socketPath(id), {
      withinMs: GREETING_WITHIN_MS,
      signal,
      alive: () => engine.isRunning(id),
    });
    stopTimer();
    const verdict = await records.containers.change(
      record,
      runningSince(spec, { fence, startedAt: Date.now(), warm: false }),
      () => job.progress(100, 'desktop is up').catch(() => undefined),
    );
    if (verdict === 'ok') {
      host.screens.runs(record, id);
      host.sessions.runs(record, id, fence);
      host.calls.runs(record, fence);
      host.supervisors.runs(containerId, id);
      return { containerId, width: spec.width, height: spec.height };
    }
    await withdraw();
    return undefined;
  } catch (thrown) {
    const failed = thrown instanceof NoRoomError ? await host.admission.admitOrWait(record, job) : thrown;
    // A running container stays: the next delivery here adopts it once the ledger is available.
    if (failed instanceof LedgerUnavailableError && !stopped.signal.aborted) throw failed;
    const requeued = reasonOf(job.signal) === 'shutdown' && !stopped.signal.aborted;
    const found = signal.aborted
      ? { error: failed }
      : await diagnose(host, { ...record, ...instance }, failed);
    const { error } = found;
    if (!requeued) await withdraw();
    if (stopped.signal.aborted) return undefined;
    const change = failedChange(job, found);
    const verdict = await records.containers.change(record, { ...change, fence, from: ['starting'] });
    // A peer need not wait for this removal; this process does before it exits.
    if (requeued) host.removing.add(withdraw());
    if (verdict !== 'ok') return undefined;
    await records.containers.forget(host.name, record);
    throw error;
  }
}

const failedChange = (job: JobContext, { error, exit }: Diagnosis) =>
  job.willRetry(error)
    ? { to: 'requested' as const }
    : { to: 'failed' as const, error: classify(error), exit };

/** Settles as `work` does. Rejects as soon as `signal` is aborted. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error('aborted'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
