import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { FromThread, ProcessRecord, ThreadData, ToThread } from './protocol.ts';
import { monotonicMs, SharedState } from './shared-state.ts';

/** The pause before a thread that failed is started again, ms. */
const RESTART_MS = 200;
/** Time that the thread has to withdraw this process at shutdown, ms. */
const STOP_WITHIN_MS = 2000;

export type LivenessOptions = {
  /** The URL of the queue Redis. */
  url: string;
  /** The boot id of this process. */
  boot: string;
  record: ProcessRecord;
  /** The time without a beat after which a process counts as dead, ms; 0: no beats. */
  deadAfterMs: number;
  log: Logger;
};

export type LivenessHandlers = {
  /** Receives boot ids of processes that stopped beating, again and again until they are recovered. */
  onOverdue: (boots: string[]) => void;
  /** Peers declared this process dead, and run its jobs. Once this resolves it beats again. */
  onDead: () => Promise<unknown>;
  /** This process takes part again after `onDead`. */
  onAlive: () => void;
};

/**
 * Beats for this process from a thread of its own, so that work which blocks the main thread does not look
 * like a death, and watches the beats of the others.
 */
export class Liveness {
  readonly #o: LivenessOptions;
  readonly #shared = new SharedState();
  readonly #stopped = new AbortController();
  #thread: Worker | undefined;
  #handlers: LivenessHandlers | undefined;
  #loop: Promise<void> | undefined;
  /** Runs while `onDead` does. */
  #dropping: Promise<void> | undefined;

  constructor(options: LivenessOptions) {
    this.#o = options;
  }

  /**
   * Whether this process may act for its host. It may not while a peer may have declared it dead: after it
   * was frozen, until a beat finds that none has.
   */
  get mayAct(): boolean {
    const { tickedAt, state } = this.#shared;
    return state === 'alive' && (tickedAt === 0 || monotonicMs() - tickedAt < this.#o.deadAfterMs);
  }

  /** Whether this process would detect a death now. */
  get watches(): boolean {
    return this.#shared.watches;
  }

  start(handlers: LivenessHandlers): void {
    if (this.#o.deadAfterMs === 0) return;
    this.#handlers = handlers;
    this.#loop ??= this.#run();
  }

  /** Withdraws this process, so that no peer takes its exit for a death. Never rejects. */
  async close(): Promise<void> {
    this.#stopped.abort();
    this.#send({ type: 'stop' });
    const ended = this.#loop ?? Promise.resolve();
    await withTimeout(ended, STOP_WITHIN_MS, () => this.#thread?.terminate());
  }

  /** Keeps a thread. Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#runThread();
      this.#shared.tickedAt = 0;
      this.#shared.watches = false;
      if (!signal.aborted) await sleep(RESTART_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Runs a thread until it ends. */
  #runThread(): Promise<void> {
    const { url, boot, record, deadAfterMs, log } = this.#o;
    const data: ThreadData = {
      url,
      boot,
      record: JSON.stringify(record),
      deadAfterMs,
      buffer: this.#shared.buffer,
      logLevel: log.level,
    };
    const thread = new Worker(new URL('./thread.ts', import.meta.url), { workerData: data });
    this.#thread = thread;
    thread.unref();
    thread.on('message', (message: FromThread) => this.#receive(message));
    thread.on('error', (error) => log.error({ err: error }, 'liveness thread failed: started again'));
    return new Promise((resolve) => thread.once('exit', () => resolve()));
  }

  #receive(message: FromThread): void {
    const { log } = this.#o;
    if (this.#stopped.signal.aborted || !this.#handlers) return;
    const { onOverdue, onAlive } = this.#handlers;
    if (message.type === 'overdue') {
      onOverdue(message.boots);
    } else if (message.type === 'alive') {
      log.info('worker process beats again');
      onAlive();
    } else {
      this.#dropping ??= this.#drop(this.#handlers).finally(() => {
        this.#dropping = undefined;
      });
    }
  }

  /** Leaves everything to the peers, then asks the present thread to beat again. Never rejects. */
  async #drop({ onDead }: LivenessHandlers): Promise<void> {
    const { log } = this.#o;
    log.error('peers declared this worker process dead: it drops its jobs and leases');
    await onDead().catch((error: unknown) => log.error({ err: error }, 'jobs and leases not dropped'));
    this.#send({ type: 'revive' });
  }

  #send(message: ToThread): void {
    this.#thread?.postMessage(message);
  }
}
