import { hasEnded } from '@warmwind/shared/contract/containers';
import { newId } from '@warmwind/shared/contract/ids';
import type { JobResults } from '@warmwind/shared/contract/registry';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { DesktopRecord } from '@warmwind/shared/engine/node/records';
import type { Handler, JobContext } from '../runtime/delivery.ts';
import { classify, type FailureCode, JobFailureError } from '../runtime/failures.ts';
import { CancelledError, RequeueError, reasonOf } from '../runtime/outcome.ts';
import type { Found } from './engine.ts';
import type { DesktopHost } from './host.ts';
import { NoRoomError } from './reservations.ts';
import { waitForGreeting } from './rfb.ts';
import { runningSince } from './running.ts';
import { type Instance, parseSpec } from './spec.ts';

/** How long a desktop may take from its start to its first RFB byte, ms. */
const GREETING_WITHIN_MS = 15_000;
/** A start that is worked on elsewhere is looked at again after this, ms. */
const LOOK_AGAIN_MS = 1000;
/** How often one delivery decides anew after it lost a race. */
const MAX_LOOKS = 5;

type StartResult = JobResults['container.start'];

/**
 * `container.start`: exactly one container, however often it is delivered. The record says who may create (host, boot
 * and fence, before anything exists); whoever loses that place removes what it made.
 */
export function createStart(host: DesktopHost): Handler<StartResult> {
  return async (job): Promise<StartResult> => {
    const { containerId } = job.data;
    for (let look = 0; look < MAX_LOOKS; look++) {
      const record = await host.records.desktops.get(job.data);
      const finished = finishedStart(record);
      if (finished) {
        await host.records.desktops.republish(finished);
        return resultOf(finished);
      }
      if (!record) break;
      if (
        record.host &&
        record.host !== host.name &&
        (await host.presence.mayLive(record.host, record.boot))
      ) {
        throw new RequeueError(LOOK_AGAIN_MS);
      }
      // Nothing may be awaited between this look and the registration.
      const joined = host.starting.get(containerId);
      if (joined) {
        await joined.done;
        continue;
      }
      const result = await registered(host, containerId, (abort) => attempt(host, job, record, abort));
      if (result) return result;
    }
    throw new RequeueError(LOOK_AGAIN_MS);
  };
}

/** The record of a start that is done; throws when it can't be done any more; `undefined` when there is work to do. */
function finishedStart(record: DesktopRecord | undefined): DesktopRecord | undefined {
  if (!record) throw new JobFailureError('not_found');
  const { state } = record;
  if (state === 'running' || state === 'paused') return record;
  if (state === 'stopping' || state === 'stopped') {
    // One that ran has been started: its end was published, whatever a Redis that lost the end of the job says.
    if (record.expiresAt !== undefined) return record;
    throw new CancelledError();
  }
  if (state === 'lost') throw new JobFailureError('host_lost');
  if (hasEnded(state))
    throw new JobFailureError((record.error?.code as FailureCode | undefined) ?? 'internal');
  return undefined;
}

const resultOf = ({ containerId, width, height }: DesktopRecord): StartResult => ({
  containerId,
  width,
  height,
});

/** Runs `work` as the one start of this desktop in this process. */
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
 * The running container of exactly the recorded placement, when it is this process's own: its start was under way, and
 * Redis has forgotten so. There is no second one then.
 */
async function ownContainer(
  { engine, name, boot }: DesktopHost,
  record: DesktopRecord,
): Promise<Found | undefined> {
  if (record.state !== 'starting' || record.host !== name || record.boot !== boot) return undefined;
  return engine.findRunning(record).catch(() => undefined);
}

/** Takes the container for this host, as an instance of its own. @returns `undefined` when another took it, or it is gone */
async function place(
  { records, admission, name, boot }: DesktopHost,
  record: DesktopRecord,
  instanceId: string,
): Promise<Instance | undefined> {
  const { containerId, fence: before } = record;
  const release = () => admission.release({ containerId, instanceId });
  const placing = { fence: before, host: name, boot, instanceId };
  const placed = await records.desktops.assign(record, placing).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  if (placed.verdict === 'ok') return { containerId, instanceId, fence: placed.fence };
  await release();
  return undefined;
}

/** One placement, from its record to the first RFB byte. → `undefined` when the desktop is somebody else's by now. */
async function attempt(
  host: DesktopHost,
  job: JobContext,
  record: DesktopRecord,
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
  // A call to the engine can't be taken back: an abort leaves it running, and what it made is removed after it.
  let calling: Promise<unknown> = Promise.resolve();
  const call = <T>(work: Promise<T>): Promise<T> => {
    calling = work.catch(() => undefined);
    return unlessAborted(work, signal);
  };
  const withdraw = async () => {
    await calling;
    await engine.removeInstance(instance).then(
      () => Promise.all([host.admission.release(instance), host.volumes.removed(instance.instanceId)]),
      (error: unknown) => job.log.warn({ err: error, containerId }, 'not removed: the sweep will'),
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
    const verdict = await records.desktops.change(record, runningSince(spec, fence, Date.now()), () =>
      job.progress(100, 'desktop is up').catch(() => undefined),
    );
    if (verdict === 'ok') {
      host.screens.runs(record, id);
      host.sessions.runs(record, id, fence);
      host.calls.runs(record, fence);
      return { containerId, width: spec.width, height: spec.height };
    }
    await withdraw();
    return undefined;
  } catch (thrown) {
    const error = thrown instanceof NoRoomError ? await host.admission.admitOrWait(record, job) : thrown;
    // What runs stays: the next delivery here adopts it, when the record is known again.
    if (error instanceof LedgerUnavailableError && !stopped.signal.aborted) throw error;
    const handedBack = reasonOf(job.signal) === 'shutdown' && !stopped.signal.aborted;
    if (!handedBack) await withdraw();
    if (stopped.signal.aborted) return undefined;
    const change = job.willRetry(error)
      ? { to: 'requested' as const }
      : { to: 'failed' as const, error: classify(error) };
    const verdict = await records.desktops.change(record, { ...change, fence, from: ['starting'] });
    // A peer need not wait for what is removed here, but this process does before it exits.
    if (handedBack) host.removing.add(withdraw());
    if (verdict !== 'ok') return undefined;
    await records.desktops.forget(host.name, record);
    throw error;
  }
}

/** The work's outcome, or a rejection as soon as `signal` is aborted. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error('aborted'));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
