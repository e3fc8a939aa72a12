import { hasEnded } from '@warmwind/shared/contract/containers';
import { type BackgroundResult, ExecInput, type ProgramResult } from '@warmwind/shared/contract/programs';
import { OUTSTANDING_MS } from '@warmwind/shared/engine/records';
import type { DesktopHost } from '../containers/host.ts';
import type { Handler, JobContext } from '../runtime/delivery.ts';
import { type FailureCode, JobFailureError } from '../runtime/failures.ts';
import { RequeueError } from '../runtime/outcome.ts';
import { SupervisorError } from '../supervisor/error.ts';
import { processIdOf } from './process-id.ts';
import { Program } from './program.ts';
import { MOST_PROGRAMS, ProgramSlots } from './slots.ts';

/** How long a program waits for a slot of its desktop, ms, and the bounds of the pauses. */
const WAIT_MS = 300_000;
const PAUSE_MS = { least: 250, most: 10_000 };
/** The pause of a program whose desktop this process does not know yet, ms. */
const NOT_HERE_PAUSE_MS = 250;
/** How often a program that runs counts as a use of its desktop, ms. */
const USE_EVERY_MS = 5000;

/**
 * Creates the handler of `container.exec`. The program is started under the id of the run, and a start under
 * an id that exists starts nothing: a delivery finds the program of the one before it.
 */
export function createExec(host: DesktopHost): Handler<ProgramResult | BackgroundResult> {
  const slots = new ProgramSlots();
  return async (job) => {
    const { containerId, jobId, run } = job.data;
    const [input] = await Promise.all([readInput(host, job), checkContainer(host, job)]);
    await waitUntilResumed(host, job);
    const release = slots.take(containerId);
    if (!release) return wait(job);
    const use = () => host.screens.use(containerId);
    use();
    const using = setInterval(use, USE_EVERY_MS);
    const extend = () => host.records.jobs.extend(job.data).catch(() => undefined);
    const extending = setInterval(extend, OUTSTANDING_MS / 4);
    try {
      const supervisor = host.supervisors.of(containerId);
      const program = new Program({ job, supervisor, id: processIdOf(jobId, run) });
      return await program.run(input);
    } catch (error) {
      if (error instanceof SupervisorError && error.code === 'not_here')
        throw new RequeueError(NOT_HERE_PAUSE_MS);
      if (isBusy(error)) return await wait(job);
      throw await explained(host, job, error);
    } finally {
      clearInterval(using);
      clearInterval(extending);
      release();
    }
  };
}

async function readInput({ records }: DesktopHost, { data }: JobContext): Promise<ExecInput> {
  const text = await records.jobs.input(data);
  if (text === undefined) throw new JobFailureError('input_missing');
  try {
    return ExecInput.parse(JSON.parse(text));
  } catch (error) {
    throw new JobFailureError('invalid_job', error);
  }
}

/** @throws JobFailureError when the container does not run on this host */
async function checkContainer({ records, name }: DesktopHost, { data }: JobContext): Promise<void> {
  const record = await records.containers.get(data);
  if (!record || hasEnded(record.state) || record.state === 'stopping')
    throw new JobFailureError('desktop_ended');
  if (record.host !== name) throw new JobFailureError('host_lost');
}

/** Resumes a desktop that was paused because it was idle, or waits until a request resumes it. */
async function waitUntilResumed(host: DesktopHost, job: JobContext): Promise<void> {
  const { pauses } = host;
  const { containerId } = job.data;
  if (!pauses.by(containerId)) return;
  if (pauses.by(containerId) === 'request') await job.progress(0, 'waits: the desktop is paused');
  pauses.wake(job.data);
  await pauses.thawed(containerId, job.signal);
  await checkContainer(host, job);
}

/** Requeues a program until its desktop has a free slot. No attempt is spent. */
async function wait(job: JobContext): Promise<never> {
  const waitedMs = Date.now() - job.queuedAt;
  if (waitedMs > WAIT_MS) throw new JobFailureError('desktop_busy');
  await job.progress(0, `waits: ${MOST_PROGRAMS} programs run in this desktop`);
  throw new RequeueError(Math.min(PAUSE_MS.most, Math.max(PAUSE_MS.least, waitedMs / 2)));
}

/** Whether the desktop can start the program once another has ended. */
const isBusy = (error: unknown): boolean =>
  error instanceof SupervisorError && (error.status === 429 || error.status === 503);

/** The failures of a program by the codes of its supervisor. */
const FAILURES: Record<string, FailureCode> = {
  not_found: 'program_not_found',
  not_executable: 'program_not_found',
  invalid_cwd: 'directory_not_found',
  forgotten: 'program_lost',
  no_such_process: 'program_lost',
  offset_gone: 'program_lost',
  no_supervisor: 'no_supervisor',
};

/** The failure that the job's owner receives. */
async function explained({ records }: DesktopHost, job: JobContext, error: unknown): Promise<unknown> {
  if (job.signal.aborted || !(error instanceof SupervisorError || isInterrupted(error))) return error;
  const { status, code } = error as Partial<SupervisorError>;
  if (status !== undefined || code === 'no_supervisor')
    return new JobFailureError(FAILURES[code ?? ''] ?? 'program_not_started', error);
  const record = await records.containers.get(job.data);
  const isOver = !record || hasEnded(record.state) || record.state === 'stopping';
  return new JobFailureError(isOver ? 'desktop_ended' : 'desktop_exited', error);
}

/** Whether the supervisor's connection broke while an output was read. */
const isInterrupted = (error: unknown): boolean =>
  ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');
