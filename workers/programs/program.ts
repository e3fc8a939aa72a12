import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BackgroundResult,
  type ExecInput,
  MAX_TAIL_BYTES,
  type ProgramResult,
} from '@warmwind/shared/contract/programs';
import type { OutputOffsets, OutputStream } from '@warmwind/shared/engine/node/records';
import type { JobContext } from '../runtime/delivery.ts';
import { CancelledError, reasonOf, TimedOutError } from '../runtime/outcome.ts';
import type { Supervisor } from '../supervisor/client.ts';
import { SupervisorError } from '../supervisor/error.ts';
import type { SupervisedProcess } from '../supervisor/process.ts';
import { Output } from './output.ts';
import { Pace } from './pace.ts';

/** The pace of a program's output, bytes. A room's log holds 4 MB of events. */
const PACE = { burst: 2 * 2 ** 20, perSecond: 512 * 1024 };
/** Published bytes are acknowledged once there are so many, besides those that the result may need. */
const ACKNOWLEDGE_BYTES = 32 * 1024;
/** How long the output of a program that timed out may take to be published, ms. */
const FLUSH_MS = 5000;
/** The pause before the log is asked again how far it has the output, ms. */
const LOG_PAUSE_MS = 500;

export type ProgramOptions = {
  job: JobContext;
  supervisor: Supervisor;
  /** The id of the process. */
  id: string;
};

/** The program of one run, as one delivery of its job follows it. */
export class Program {
  readonly #o: ProgramOptions;
  readonly #acknowledged: OutputOffsets = { stdout: 0, stderr: 0 };

  constructor(options: ProgramOptions) {
    this.#o = options;
  }

  /**
   * Starts the program, unless it was started, and follows it to its end.
   * @throws TimedOutError when it ran for too long
   */
  async run({ background = false, ...input }: ExecInput): Promise<ProgramResult | BackgroundResult> {
    const { job, supervisor, id } = this.#o;
    const { signal, timeoutMs } = job;
    signal.throwIfAborted();
    // The program of a run that another worker takes continues.
    const stop = new AbortController();
    const onAbort = () => {
      const reason = reasonOf(signal);
      if (reason === 'timed-out') void this.#endInTime(stop);
      else stop.abort(reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const stdin = input.stdin === undefined ? undefined : Buffer.from(input.stdin);
      const published = background ? undefined : this.#logged(stop.signal);
      published?.catch(() => undefined);
      // A program of a run that has ended meanwhile is not started.
      await supervisor.thawed(stop.signal);
      await supervisor.start(id, { ...input, stdin, background, timeoutMs });
      if (!published) return { processId: id };
      job.onEnd(() => this.#forget());
      return await this.#follow(stop.signal, await published);
    } catch (error) {
      if (reasonOf(signal) === 'cancelled') {
        await endProcess(supervisor, id);
        throw new CancelledError();
      }
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends a program that ran for too long; what it wrote is published within a bound. */
  async #endInTime(stop: AbortController): Promise<void> {
    const { supervisor, id } = this.#o;
    await endProcess(supervisor, id).catch(() => undefined);
    await sleep(FLUSH_MS, undefined, { ref: false });
    stop.abort('timed-out');
  }

  /** @param published how far the log has the output */
  async #follow(signal: AbortSignal, published: OutputOffsets): Promise<ProgramResult> {
    const { job, supervisor, id } = this.#o;
    const pace = new Pace(PACE);
    const follow = async (stream: OutputStream) => {
      const output = new Output({
        stream,
        program: job.program,
        pace,
        signal,
        tailBytes: MAX_TAIL_BYTES,
        onPublished: (end) => this.#onPublished(stream, end),
      });
      // From the first byte that is kept on: the result needs bytes that are published, and the log may be lost.
      const { offset, body } = await supervisor.output(id, stream, { signal });
      await output.copy(body, offset, published[stream]);
      return output;
    };
    const ended = supervisor.wait(id, { signal });
    ended.catch(() => undefined);
    const [stdout, stderr] = await Promise.all([follow('stdout'), follow('stderr')]);
    const process = await ended;
    if (process.timedOut || reasonOf(job.signal) === 'timed-out') throw new TimedOutError();
    return resultOf(process, stdout, stderr);
  }

  /** How far the log has the output. Waits while the realtime Redis does not answer. */
  async #logged(signal: AbortSignal): Promise<OutputOffsets> {
    for (;;) {
      const ends = await this.#o.job.program.ends();
      if (ends) return ends;
      await sleep(LOG_PAUSE_MS, undefined, { signal });
    }
  }

  /** Acknowledges what is published, but for the bytes that a result may need. */
  async #onPublished(stream: OutputStream, end: number): Promise<void> {
    const safe = end - MAX_TAIL_BYTES;
    if (safe - this.#acknowledged[stream] < ACKNOWLEDGE_BYTES) return;
    this.#acknowledged[stream] = safe;
    await this.#o.supervisor.acknowledge(this.#o.id, { ...this.#acknowledged });
  }

  /** Ends what is left of the program, once the end of the run is recorded. Never rejects. */
  async #forget(): Promise<void> {
    const { job, supervisor, id } = this.#o;
    await supervisor
      .end(id, { forget: true })
      .catch((error: unknown) => job.log.warn({ err: error }, 'process kept'));
  }
}

/**
 * Ends a process, and every process that it started.
 * @returns `false` when there is no such process
 */
export async function endProcess(supervisor: Supervisor, id: string): Promise<boolean> {
  try {
    await supervisor.end(id);
    return true;
  } catch (error) {
    if (error instanceof SupervisorError && error.status === 404) return false;
    throw error;
  }
}

function resultOf(
  process: Pick<SupervisedProcess, 'exitCode' | 'signal'>,
  stdout: Output,
  stderr: Output,
): ProgramResult {
  const { exitCode, signal } = process;
  const out = stdout.tail;
  const err = stderr.tail;
  return {
    exitCode: signal === undefined ? (exitCode ?? null) : null,
    ...(signal === undefined ? {} : { signal }),
    stdout: out.value,
    stderr: err.value,
    ...(out.isText ? {} : { stdoutEncoding: 'base64' as const }),
    ...(err.isText ? {} : { stderrEncoding: 'base64' as const }),
    truncated: Math.max(stdout.end, stderr.end) > MAX_TAIL_BYTES,
  };
}
