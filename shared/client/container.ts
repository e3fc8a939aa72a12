import type { Action, Button } from '../contract/actions/action.ts';
import type { ContainerMetrics } from '../contract/commands/container-metrics.ts';
import type { Container } from '../contract/containers.ts';
import type { DirectoryListing } from '../contract/files.ts';
import type { ReadingResult } from '../contract/inference.ts';
import type { DesktopProcess } from '../contract/programs.ts';
import {
  type ActionOutcome,
  type ActOptions,
  type ActOutcome,
  type InputAction,
  outcomeOf,
  type SentAction,
} from './actions.ts';
import type { ContainerCallOptions } from './calls.ts';
import type { Connection } from './client.ts';
import { Execution } from './execution.ts';
import type { FileOptions } from './files.ts';
import type { EdgeClient } from './http.ts';
import { type JobOptions, runJob, submit } from './jobs.ts';
import type { Picture } from './picture.ts';
import { readScreenshot, type ScreenshotOptions } from './screenshot.ts';
import type { CommandInput } from './submission.ts';
import {
  type AttachTerminalOptions,
  attachTerminal,
  type OpenTerminalOptions,
  openTerminal,
  type Terminal,
} from './terminal.ts';
import type { CallOptions, Transport } from './transport.ts';

/** How the object of a container reaches the platform. */
export type ContainerAccess = {
  edge: EdgeClient;
  transport: Transport;
  relay: () => Promise<Connection>;
};

/** Keys that are held during an action: `ctrl+shift`, or a list of names. */
export type Modifiers = string | string[];

/** Options of a click. */
export type ClickOptions = ActOptions & { button?: Button; modifiers?: Modifiers };

/** Options of a program; `timeoutMs` bounds how long it may run, ms. */
export type ExecOptions = Omit<CommandInput<'container.exec'>, 'containerId' | 'cmd' | 'background'> &
  Pick<JobOptions, 'signal' | 'idempotencyKey' | 'retries'>;

/** A point in units of `space`. */
export type Point = { x: number; y: number };

/**
 * One desktop. Points are pixels of the screen unless `space` names another picture.
 *
 * Every method rejects with a `WarmwindError`, whose `code` is stable: `ActionError` when an action fails,
 * `JobFailedError` when a job does, and a `RequestError` when the edge refuses or is not reached. When its signal
 * aborts, it rejects with the reason of the signal, and the platform ends the work.
 *
 * @example
 * const desktop = warmwind.container(id);
 * await desktop.click(40, 60, { modifiers: 'ctrl' });
 * await desktop.key('ctrl+shift+t');
 * const { changed } = await desktop.scroll(640, 360, { dy: 3 });
 */
export class ContainerClient {
  /** The id of the container. */
  readonly id: string;
  readonly #access: ContainerAccess;

  constructor(id: string, access: ContainerAccess) {
    this.id = id;
    this.#access = access;
  }

  /**
   * Carries out actions in order, as one call. All of them are checked before the first. The first that fails stops
   * the rest.
   *
   * @param actions 1 to 64 actions, of the vocabulary that `dialect` names
   * @returns what each action did, how the screen settled, the pointer and the picture that was asked for
   * @throws ActionError when an action fails; its `outcome` has the results of those before it
   * @throws RequestError when the call is refused or its outcome is unknown
   */
  async act(actions: readonly InputAction[], options: ActOptions = {}): Promise<ActOutcome> {
    const { dialect, space, settle, screenshot, control, ...call } = options;
    const input = {
      containerId: this.id,
      actions: actions as SentAction[],
      dialect,
      space,
      settle,
      screenshot,
      control,
    };
    return outcomeOf(await this.#access.edge.act(input, call));
  }

  /** Clicks a point; without one, at the pointer. */
  click(x?: number, y?: number, options: ClickOptions = {}): Promise<ActionOutcome> {
    return this.#click(1, x, y, options);
  }

  /** Clicks a point twice, within the double-click time. */
  doubleClick(x?: number, y?: number, options: ClickOptions = {}): Promise<ActionOutcome> {
    return this.#click(2, x, y, options);
  }

  /** Clicks a point three times, which selects a line or paragraph in most programs. */
  tripleClick(x?: number, y?: number, options: ClickOptions = {}): Promise<ActionOutcome> {
    return this.#click(3, x, y, options);
  }

  /** Moves the pointer. */
  move(x: number, y: number, options: ActOptions & { modifiers?: Modifiers } = {}): Promise<ActionOutcome> {
    const { modifiers, ...act } = options;
    return this.#one({ type: 'move', x, y, modifiers }, act);
  }

  /** Presses a button at the pointer. It stays pressed until {@link buttonUp}, or until this client's control ends. */
  buttonDown(button?: Button, options?: ActOptions): Promise<ActionOutcome> {
    return this.#one({ type: 'button_down', button }, options);
  }

  /** Releases a pressed button. */
  buttonUp(button?: Button, options?: ActOptions): Promise<ActionOutcome> {
    return this.#one({ type: 'button_up', button }, options);
  }

  /**
   * Drags along a path, with moves in between.
   *
   * @param path from the first point to the last; a single point is dragged to from the pointer
   */
  drag(path: readonly Point[], options: ClickOptions = {}): Promise<ActionOutcome> {
    const { button, modifiers, ...act } = options;
    return this.#one({ type: 'drag', path: [...path], button, modifiers }, act);
  }

  /**
   * Turns the wheel at a point.
   *
   * @param by `dx` notches to the right and `dy` notches down; negative: to the left, up
   */
  scroll(
    x: number | undefined,
    y: number | undefined,
    by: { dx?: number; dy?: number },
    options: ActOptions & { modifiers?: Modifiers } = {},
  ): Promise<ActionOutcome> {
    const { modifiers, ...act } = options;
    return this.#one({ type: 'scroll', x, y, ...by, modifiers }, act);
  }

  /**
   * Types a text of any characters; a line feed is Return, a tab is Tab.
   *
   * @returns what it did; `delivered` counts the typed characters
   */
  type(text: string, options?: ActOptions): Promise<ActionOutcome> {
    return this.#one({ type: 'type', text }, options);
  }

  /**
   * Presses keys in order and releases them in reverse.
   *
   * @param keys names joined by `+`, or a list of names: `ctrl+shift+t`, `ctrl++`, `Return`
   */
  key(keys: string | string[], options: ActOptions & { count?: number } = {}): Promise<ActionOutcome> {
    const { count, ...act } = options;
    return this.#one({ type: 'key', keys, count }, act);
  }

  /** Holds keys for a time, ms. They are released whatever happens. */
  hold(keys: string | string[], holdMs: number, options?: ActOptions): Promise<ActionOutcome> {
    return this.#one({ type: 'key', keys, holdMs }, options);
  }

  /** Presses keys, which stay pressed until {@link keyUp}, or until this client's control ends. */
  keyDown(keys: string | string[], options?: ActOptions): Promise<ActionOutcome> {
    return this.#one({ type: 'key_down', keys }, options);
  }

  /** Releases pressed keys. */
  keyUp(keys: string | string[], options?: ActOptions): Promise<ActionOutcome> {
    return this.#one({ type: 'key_up', keys }, options);
  }

  /** Waits for a time on the desktop's side, ms, then until the screen settles. */
  wait(ms: number, options?: ActOptions): Promise<ActionOutcome> {
    return this.#one({ type: 'wait', ms }, options);
  }

  /** Takes a picture of the screen. It neither takes nor needs control. */
  screenshot(
    options?: ScreenshotOptions & { changedSince?: undefined },
    call?: ContainerCallOptions,
  ): Promise<Picture>;
  /**
   * Waits until the screen differs from an earlier picture.
   *
   * @returns the new picture, or `undefined` when the screen has not changed within `waitMs`
   */
  screenshot(options: ScreenshotOptions, call?: ContainerCallOptions): Promise<Picture | undefined>;
  screenshot(options: ScreenshotOptions = {}, call: ContainerCallOptions = {}): Promise<Picture | undefined> {
    return readScreenshot(this.#access.transport, this.id, options, call);
  }

  /**
   * Reads the text on the screen.
   *
   * @returns the text by lines, and its words with their boxes in pixels of the screen
   * @throws JobFailedError when the screen can't be read
   */
  async readText(options?: JobOptions): Promise<ReadingResult> {
    const input = { model: 'ocr-eng', containerId: this.id };
    const { result } = await runJob(this.#access.edge, 'inference', input, options);
    return result as ReadingResult;
  }

  /**
   * Runs a program. Iterate over it for its output, or await its `result`. An abort ends it, with every process that
   * it started.
   *
   * @param cmd the program and its arguments; no shell reads them
   * @param options its directory, environment, input and time-out
   *
   * @example
   * const { exitCode, stdout } = await desktop.exec(['ls', '-l']).result;
   */
  exec(cmd: readonly string[], options: ExecOptions = {}): Execution {
    const { signal, idempotencyKey, retries, ...program } = options;
    const { edge } = this.#access;
    const input = { ...program, containerId: this.id, cmd: [...cmd] };
    const cancel = ({ jobId }: { jobId: string }) => edge.cancelJob(jobId);
    const submission = submit(edge, 'container.exec', input, { signal, idempotencyKey, retries }, cancel);
    return new Execution(edge, submission, signal);
  }

  /**
   * Starts a program that runs on in the background; its output is not recorded.
   *
   * @returns the id of its process, as {@link processes} lists it
   * @throws JobFailedError when it does not start
   */
  async spawn(cmd: readonly string[], options: ExecOptions = {}): Promise<{ processId: string }> {
    const { signal, idempotencyKey, retries, ...program } = options;
    const input = { ...program, containerId: this.id, cmd: [...cmd], background: true };
    const job = await runJob(this.#access.edge, 'container.exec', input, { signal, idempotencyKey, retries });
    return job.result as { processId: string };
  }

  /** Lists the processes that requests have started, the oldest first. */
  async processes(options?: ContainerCallOptions): Promise<DesktopProcess[]> {
    return (await this.#access.edge.listProcesses({ containerId: this.id }, options)).items;
  }

  /** Ends a process, and every process that it started. */
  async endProcess(processId: string, options?: ContainerCallOptions): Promise<void> {
    await this.#access.edge.endProcess({ containerId: this.id, processId }, options);
  }

  /** Measures what the desktop uses of its CPUs, memory, home and network. It does not resume a paused one. */
  metrics(options?: ContainerCallOptions): Promise<ContainerMetrics> {
    return this.#access.edge.containerMetrics({ containerId: this.id }, options);
  }

  /** The files of the desktop. Paths are relative to the home, which is ''. */
  readonly files = {
    /** Reads a file of at most 64 MB. */
    read: async (path: string, options?: FileOptions): Promise<Uint8Array> => {
      const answer = await this.#access.edge.readFile({ containerId: this.id, path }, options);
      return new Uint8Array(await answer.arrayBuffer());
    },
    /** Replaces a file at once when all of its content has arrived. */
    write: (path: string, content: BodyInit, options?: FileOptions): Promise<void> =>
      this.#access.edge.writeFile({ containerId: this.id, path, content }, options),
    /** Lists the first 1,000 entries of a folder. */
    list: async (path = '', options?: FileOptions): Promise<DirectoryListing['items']> =>
      (await this.#access.edge.listFiles({ containerId: this.id, path }, options)).items,
    /** Removes a file, or a folder with all that is in it. */
    remove: (path: string, options?: FileOptions): Promise<void> =>
      this.#access.edge.deleteFile({ containerId: this.id, path }, options),
    /** Reads a folder with all that is in it, as a tar archive. */
    archive: async (path = '', options?: FileOptions): Promise<Uint8Array> => {
      const address = { containerId: this.id, path, archive: 'tar' as const };
      return new Uint8Array(await (await this.#access.edge.readFile(address, options)).arrayBuffer());
    },
  };

  /** The desktop's clipboard. */
  readonly clipboard = {
    /** Reads its text. */
    read: async (options?: ContainerCallOptions): Promise<string> =>
      (await this.#access.edge.readClipboard({ containerId: this.id }, options)).text,
    /** Sets its text. */
    write: async (text: string, options?: ContainerCallOptions): Promise<void> => {
      await this.#access.edge.writeClipboard({ containerId: this.id, text }, options);
    },
  };

  /**
   * Opens a terminal: a shell, or another program, as a pair of byte streams that continue over reconnects and
   * restarts of the platform. An abort of its signal ends the attachment, `close()` the program.
   *
   * @throws TerminalError when it is refused
   *
   * @example
   * const terminal = await desktop.terminal({ cols: 80, rows: 24, cmd: ['top'] });
   * for await (const bytes of terminal.readable) screen.write(bytes);
   * const { code } = await terminal.exited;
   */
  async terminal(options: Omit<OpenTerminalOptions, 'containerId'>): Promise<Terminal> {
    options.signal?.throwIfAborted();
    return openTerminal(await this.#access.relay(), { ...options, containerId: this.id });
  }

  /**
   * Attaches to a terminal that is open: all attachments receive its output, and each may type.
   *
   * @throws TerminalError when it is refused
   */
  async attachTerminal(options: AttachTerminalOptions): Promise<Terminal> {
    return attachTerminal(await this.#access.relay(), options);
  }

  /** Reads the container's record: its state, size, times and incarnation. */
  info(options?: CallOptions): Promise<Container> {
    return this.#access.edge.getContainer(this.id, options);
  }

  /**
   * Lets the desktop live for some time from now, instead of until its `expiresAt`.
   *
   * @param ttlSeconds 10 to 86,400
   * @returns when its time to live ends, ISO 8601 in UTC
   */
  async extend(ttlSeconds: number, options?: ContainerCallOptions): Promise<{ expiresAt: string }> {
    return this.#access.edge.extendContainer({ containerId: this.id, ttlSeconds }, options);
  }

  /**
   * Freezes all programs in memory and waits until none runs. Until {@link resume}, every other method is refused
   * with the code `paused`, but for {@link info}, {@link extend} and {@link stop}.
   */
  async pause(options: JobOptions = {}): Promise<void> {
    await runJob(this.#access.edge, 'container.pause', { containerId: this.id }, options);
  }

  /** Continues all programs and waits until they run. */
  async resume(options: JobOptions = {}): Promise<void> {
    await runJob(this.#access.edge, 'container.resume', { containerId: this.id }, options);
  }

  /** Stops the desktop and waits until nothing of it runs. */
  async stop(options: JobOptions = {}): Promise<void> {
    await runJob(this.#access.edge, 'container.stop', { containerId: this.id }, options);
  }

  #click(
    count: number,
    x: number | undefined,
    y: number | undefined,
    options: ClickOptions,
  ): Promise<ActionOutcome> {
    const { button, modifiers, ...act } = options;
    return this.#one({ type: 'click', x, y, button, modifiers, ...(count > 1 ? { count } : {}) }, act);
  }

  async #one(action: Action, options?: ActOptions): Promise<ActionOutcome> {
    const { results, ...outcome } = await this.act([action], options);
    return { ...outcome, ...results[0] } as ActionOutcome;
  }
}
