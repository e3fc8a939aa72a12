import { type ContainerSpec, hasEnded } from '@warmwind/shared/contract/containers';
import { newId } from '@warmwind/shared/contract/ids';
import type { WaitReason } from '@warmwind/shared/contract/jobs';
import type { JobResults } from '@warmwind/shared/contract/registry';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { ContainerRecord } from '@warmwind/shared/engine/node/records';
import { REASONS } from '../placement/room.ts';
import { pooledSpec } from '../pool/fit.ts';
import type { PooledInstance } from '../pool/pooled-instance.ts';
import { tailor } from '../pool/tailor.ts';
import type { Handler, JobContext } from '../runtime/delivery.ts';
import { classify, type FailureCode, JobFailureError } from '../runtime/failures.ts';
import { CancelledError, RequeueError, reasonOf } from '../runtime/outcome.ts';
import { specOf } from './admission.ts';
import { type Diagnosis, diagnose } from './exit.ts';
import { type Found, isWarm } from './found.ts';
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
    let mayBeWarm = true;
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
      const result = await registered(host, containerId, (stopped) =>
        attempt(host, job, record, { stopped, mayBeWarm }),
      );
      if (result === 'cold') mayBeWarm = false;
      else if (result) return result;
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

const resultOf = ({
  containerId,
  width,
  height,
  warm,
}: Pick<ContainerRecord, 'containerId' | 'width' | 'height' | 'warm'>): StartResult => ({
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
 * How an instance comes to be: it runs for this container already (`adopted`), or in the warm pool (`pooled`),
 * or it is created. `stopped` is aborted by the desktop's stop.
 */
type Source = { stopped: AbortController; adopted?: Found | undefined; pooled?: PooledInstance | undefined };

/**
 * Makes one placement, of an instance of the warm pool if there is one that fits.
 * @param mayBeWarm false after an instance of the pool failed
 * @returns `cold` when an instance of the pool failed; `undefined` when another process has the desktop
 */
async function attempt(
  host: DesktopHost,
  job: JobContext,
  record: ContainerRecord,
  { stopped, mayBeWarm }: { stopped: AbortController; mayBeWarm: boolean },
): Promise<StartResult | 'cold' | undefined> {
  const adopted = await ownContainer(host, record);
  const spec = adopted || !mayBeWarm ? undefined : specOf(record);
  const pooled = spec && host.pool.take(spec);
  if (!pooled) return make(host, job, record, { stopped, adopted });
  try {
    return await make(host, job, record, { stopped, pooled });
  } finally {
    host.pool.settled(pooled);
  }
}

/** A placed instance with its GPUs, or why it must not come up. */
type Settled = { instance: Instance; gpuIds: string[]; refusal: JobFailureError | undefined };

/** Reserves room for an instance and places the container as it. */
async function settle(
  host: DesktopHost,
  job: JobContext,
  record: ContainerRecord,
  pooled: PooledInstance | undefined,
): Promise<Settled | 'cold' | undefined> {
  const instanceId = pooled?.instance.instanceId ?? newId();
  const admitted = await host.admission.reserve(record, instanceId, job);
  if ('lacks' in admitted && pooled) {
    host.pool.release(pooled);
    host.pool.missed('no_room');
    return 'cold';
  }
  const refusal = 'lacks' in admitted ? await host.admission.refuse(record, admitted.lacks, job) : undefined;
  if (refusal instanceof RequeueError) throw refusal;
  const instance = await place(host, record, instanceId).catch(async (error: unknown) => {
    if (pooled) await host.pool.discard(pooled);
    throw error;
  });
  if (!instance && pooled) await host.pool.discard(pooled);
  return instance && { instance, refusal, gpuIds: 'gpuIds' in admitted ? admitted.gpuIds : [] };
}

/** Publishes progress. It is not awaited: what follows it is published in order. */
function publish(job: JobContext, percent: number, message: string): void {
  job
    .progress(percent, message)
    .catch((err: unknown) => job.log.debug({ err, percent }, 'progress not published'));
}

/** Brings an instance up, until its screen answers. @returns the engine's id of it */
async function bringUp(
  { engine }: DesktopHost,
  job: JobContext,
  { adopted, pooled }: Omit<Source, 'stopped'>,
  { instance, spec, gpuIds }: { instance: Instance; spec: ContainerSpec; gpuIds: string[] },
  { call, signal }: Calls,
): Promise<string> {
  if (pooled) {
    await call(tailor(engine, { id: pooled.id, spec, pooled: pooled.spec }, signal));
    return pooled.id;
  }
  publish(job, 10, 'placed on a host');
  const id = adopted?.id ?? (await call(engine.create(instance, spec, gpuIds)));
  publish(job, 30, 'container created');
  const [socketPath] = await Promise.all([
    engine.socketPath(id),
    adopted ? undefined : call(engine.start(id, gpuIds)),
  ]);
  await waitForGreeting(socketPath, {
    withinMs: GREETING_WITHIN_MS,
    signal,
    alive: () => engine.isRunning(id),
  });
  if (adopted && isWarm(adopted)) {
    await call(tailor(engine, { id, spec, pooled: pooledSpec(spec.image) }, signal));
  }
  return id;
}

/**
 * Calls to the engine can't be cancelled: an abort of `signal` leaves one running, and its result is removed
 * after it. `ended` resolves when the last call has ended.
 */
type Calls = {
  signal: AbortSignal;
  call: <T>(work: Promise<T>) => Promise<T>;
  ended: () => Promise<unknown>;
};

function createCalls(signal: AbortSignal): Calls {
  let calling: Promise<unknown> = Promise.resolve();
  return {
    signal,
    ended: () => calling,
    call: (work) => {
      calling = work.catch(() => undefined);
      return unlessAborted(work, signal);
    },
  };
}

/** Makes one placement, from its record to the first RFB byte. */
async function make(
  host: DesktopHost,
  job: JobContext,
  record: ContainerRecord,
  { stopped, adopted, pooled }: Source,
): Promise<StartResult | 'cold' | undefined> {
  const { engine, records, metrics } = host;
  const { containerId } = record;
  const settled = adopted
    ? { instance: record, gpuIds: adopted.gpuIds, refusal: undefined }
    : await settle(host, job, record, pooled);
  if (settled === undefined || settled === 'cold') return settled;
  const { instance, gpuIds, refusal } = settled;
  const { fence } = instance;
  const calls = createCalls(AbortSignal.any([job.signal, stopped.signal]));
  const withdraw = async () => {
    await calls.ended();
    const why = stopped.signal.aborted ? 'the desktop was stopped' : 'the desktop was removed';
    await host.screens.ended(containerId, why);
    await engine.removeInstance(instance).then(
      () => Promise.all([host.admission.release(instance), host.volumes.removed(instance.instanceId)]),
      (error: unknown) => job.log.warn({ err: error, containerId }, 'desktop not removed: the sweep retries'),
    );
  };
  const stopTimer = metrics.startSeconds.startTimer();
  job.log.info(
    { containerId, fence, instance: instance.instanceId, warm: pooled !== undefined },
    adopted ? 'desktop adopted' : 'desktop placed',
  );
  let id: string | undefined;
  try {
    const spec = parseSpec(record.spec);
    if (refusal) throw refusal;
    id = await bringUp(host, job, { adopted, pooled }, { instance, spec, gpuIds }, calls);
    stopTimer();
    const warm = pooled !== undefined || (adopted !== undefined && isWarm(adopted));
    const running = runningSince(spec, { fence, startedAt: Date.now(), warm });
    // Its viewers wait already: their first picture is taken while the change is recorded.
    host.screens.runs(record, id);
    const engineId = id;
    const verdict = await records.containers.change(record, running, () => {
      runs(host, record, { fence, engineId });
      return job.progress(100, 'desktop is up').catch(() => undefined);
    });
    if (verdict === 'ok') {
      if (pooled) metrics.warmPoolHits.inc();
      return resultOf({ containerId, width: spec.width, height: spec.height, warm });
    }
    await withdraw();
    return undefined;
  } catch (thrown) {
    if (pooled && id === undefined && !calls.signal.aborted) {
      job.log.warn({ err: thrown, containerId }, 'warm start failed: the desktop is created');
      host.pool.missed('failed');
      await withdraw();
      return 'cold';
    }
    const reason = waitReasonOf(thrown);
    const failed = reason ? await gaveWay(host, record, { reason, job }) : thrown;
    // A running container stays: the next delivery here adopts it once the ledger is available.
    if (failed instanceof LedgerUnavailableError && !stopped.signal.aborted) throw failed;
    const requeued = reasonOf(job.signal) === 'shutdown' && !stopped.signal.aborted;
    const found = calls.signal.aborted
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
/** Another process took the room on the machine, or the image is gone. The warm pool gives way to the next attempt. */
async function gaveWay(
  host: DesktopHost,
  record: ContainerRecord,
  { reason, job }: { reason: WaitReason; job: JobContext },
): Promise<unknown> {
  if (reason !== 'image') await host.pool.evict();
  return host.admission.refuse(record, reason, job);
}

/** Registers a desktop with all that serves it: its screen, sessions, calls and programs. */
function runs(
  host: DesktopHost,
  record: ContainerRecord,
  { fence, engineId }: { fence: number; engineId: string },
): void {
  host.screens.runs(record, engineId);
  host.sessions.runs(record, engineId, fence);
  host.calls.runs(record, fence);
  host.supervisors.runs(record.containerId, engineId);
}

/** Why a start waits that failed at its creation: another host may have the room, or the image. */
function waitReasonOf(error: unknown): WaitReason | undefined {
  if (error instanceof NoRoomError) return REASONS[error.resource];
  return error instanceof JobFailureError && error.code === 'image_missing' ? 'image' : undefined;
}

/** Settles as `work` does. Rejects as soon as `signal` is aborted. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error('aborted'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
