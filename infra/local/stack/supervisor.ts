import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { born, killGroup, type ProcessId } from './processes.ts';

/** One process of the stack. */
export type Part = {
  name: string;
  /** A display name of one or two words. */
  what: string;
  /** Its address. */
  url: string;
  command: string;
  args: string[];
  env: Record<string, string>;
  /** Called before each start: releases its reserved port. */
  prepare: () => Promise<unknown>;
  /** Asked until it resolves to true, with the pid of the process that should be answering. */
  ready: (pid: number) => Promise<boolean>;
  readyWithinMs: number;
  stopSignal: NodeJS.Signals;
  /** From the stop signal to SIGKILL. */
  stopWithinMs: number;
};

export type SupervisorOptions = {
  /** Where every part works; see `endLeftovers`. */
  cwd: string;
  logs: string;
  report: (name: string, text: string) => void;
  /** A part has another process than before; between two processes the last one stays. */
  changed: (processes: Record<string, ProcessId>) => void;
};

const FIRST_BACKOFF_MS = 200;
const LAST_BACKOFF_MS = 5000;
/** A part that ran this long is sound: after its next death it restarts at once. */
const SOUND_AFTER_MS = 30_000;
/** EX_CONFIG of sysexits: the part can't run here, and another start would end the same way. */
const CANNOT_RUN = 'exit code 78';
/** A part that dies this often before it was ever ready is abandoned. */
const FIRST_STARTS = 3;

/**
 * Keeps parts running, each in a process group of its own: one that dies is started again on its port, after its group's
 * leftovers are killed, with back-off.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #parts = new Map<string, Supervised>();
  #closed = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Resolves when the part is ready, with the milliseconds it took; rejects, with the end of its log, when it can't be. */
  async start(part: Part): Promise<number> {
    if (this.#closed) throw new Error('the stack is stopping');
    const supervised = new Supervised(part, this.#options, () => this.#options.changed(this.processes()));
    this.#parts.set(part.name, supervised);
    return supervised.start();
  }

  /** Starts nothing from now on. Running parts are still supervised and restarted until they are stopped. */
  close(): void {
    this.#closed = true;
  }

  /** Signals a part to stop, without waiting and without a restart. */
  signal(name: string): void {
    this.#parts.get(name)?.signalStop();
  }

  /** Stops these parts at the same time, each within its bound; the rest of its group is killed. */
  async stop(names: string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#parts.get(name)?.stop()));
  }

  processes(): Record<string, ProcessId> {
    const entries = [...this.#parts].flatMap(([name, { process }]) => (process ? [[name, process]] : []));
    return Object.fromEntries(entries) as Record<string, ProcessId>;
  }
}

class Supervised {
  process: ProcessId | undefined;
  readonly #part: Part;
  readonly #options: SupervisorOptions;
  readonly #changed: () => void;
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #ended: Promise<void> | undefined;
  #wasReady = false;

  constructor(part: Part, options: SupervisorOptions, changed: () => void) {
    this.#part = part;
    this.#options = options;
    this.#changed = changed;
  }

  get #log(): string {
    return join(this.#options.logs, `${this.#part.name}.log`);
  }

  async start(): Promise<number> {
    writeFileSync(this.#log, '', { mode: 0o600 });
    const begun = Date.now();
    await new Promise<void>((resolve, reject) => {
      this.#ended = this.#keepRunning(resolve, reject);
    });
    return Date.now() - begun;
  }

  signalStop(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#child?.kill(this.#part.stopSignal);
  }

  async stop(): Promise<void> {
    this.signalStop();
    const kill = setTimeout(() => this.#child?.kill('SIGKILL'), this.#part.stopWithinMs);
    await this.#ended;
    clearTimeout(kill);
  }

  async #keepRunning(ready: () => void, failed: (error: Error) => void): Promise<void> {
    const { signal } = this.#stop;
    const { name } = this.#part;
    let backoffMs = FIRST_BACKOFF_MS;
    for (let starts = 1; !signal.aborted; starts++) {
      const begun = Date.now();
      const cause = await this.#runOnce(() => {
        if (this.#wasReady)
          this.#options.report(name, `is back (pid ${this.process?.pid}, ${Date.now() - begun} ms)`);
        this.#wasReady = true;
        ready();
      });
      if (signal.aborted) break;
      if (!this.#wasReady && (starts === FIRST_STARTS || cause === CANNOT_RUN)) {
        failed(new Error(`${name} does not start: ${cause}\n${this.#endOfLog()}`));
        return;
      }
      if (Date.now() - begun > SOUND_AFTER_MS) backoffMs = FIRST_BACKOFF_MS;
      this.#options.report(name, `ended (${cause}); starting it again in ${backoffMs} ms`);
      await sleep(backoffMs, undefined, { signal }).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
    }
    failed(new Error(`${name} was stopped`));
  }

  /**
   * Runs the process once, from its start until its group is empty.
   * @returns why it ended
   */
  async #runOnce(onReady: () => void): Promise<string> {
    const { command, args, env, prepare, readyWithinMs } = this.#part;
    await prepare();
    if (this.#stop.signal.aborted) return 'stopped';
    const log = openSync(this.#log, 'a', 0o600);
    const child = spawn(command, args, {
      cwd: this.#options.cwd,
      env,
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    this.#child = child;
    let tooSlow = false;
    const exited = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, by) => resolve(by ?? `exit code ${code}`));
    });
    const { pid } = child;
    if (pid === undefined) return exited;

    this.process = { pid, born: born(pid) ?? '' };
    this.#changed();
    const over = new AbortController();
    this.#untilReady(pid, over.signal).then(
      (is) => {
        if (is) onReady();
        else if (!over.signal.aborted) {
          tooSlow = true;
          child.kill('SIGKILL');
        }
      },
      () => undefined,
    );
    const cause = await exited;
    over.abort();
    await killGroup(pid);
    return tooSlow ? `not ready within ${readyWithinMs} ms` : cause;
  }

  async #untilReady(pid: number, over: AbortSignal): Promise<boolean> {
    const deadline = Date.now() + this.#part.readyWithinMs;
    while (!over.aborted && Date.now() < deadline) {
      if (await this.#part.ready(pid)) return !over.aborted;
      await sleep(50);
    }
    return false;
  }

  #endOfLog(): string {
    const lines = readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-12);
    return lines.map((line) => `    ${line.slice(0, 400)}`).join('\n');
  }
}
