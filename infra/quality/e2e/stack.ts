import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { born } from '../../local/stack/processes.ts';
import type { StackFile } from '../../local/stack/state.ts';
import { waitFor } from '../testing/wait.ts';

const MAIN = join(import.meta.dirname, '../../local/stack/main.ts');
/** The first start builds the desktop image. */
const UP_WITHIN_MS = 300_000;

/** A stack of `npm start` for one test, separate from any other on this machine. */
export type TestStack = {
  dir: string;
  fleet: string;
  /** Its complete output. */
  output: () => string;
  /** `stack.json` as it is now. */
  file: () => StackFile;
  /** Starts it (again) in the same folder, and waits for `ready`. */
  start: () => Promise<void>;
  /** Runs a second start while it runs. @returns its exit code and output */
  startAgain: () => Promise<{ code: number | null; output: string }>;
  /** Sends a signal to the stack itself. */
  kill: (signal: NodeJS.Signals) => void;
  /** Waits for it to end. @returns its exit code */
  ended: () => Promise<number | null>;
  /** Stops it in any state and removes its folder. */
  remove: () => Promise<void>;
};

export function createStack(env: Record<string, string> = {}): TestStack {
  const dir = mkdtempSync(join(tmpdir(), 'warmwind-e2e-'));
  const fleet = `e2e-${dir.slice(-6).toLowerCase()}`;
  let child: ChildProcess | undefined;
  let exited: Promise<number | null> = Promise.resolve(null);
  let output = '';

  const run = (onText: (text: string) => void) => {
    const started = spawn(process.execPath, [MAIN], {
      // Tests that have no use for a warm pool count containers, and share two processors with others.
      env: { ...process.env, WARMWIND_DIR: dir, FLEET: fleet, WARM_POOL: '{}', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [started.stdout, started.stderr]) {
      stream.setEncoding('utf8').on('data', onText);
    }
    return { started, end: new Promise<number | null>((resolve) => started.once('close', resolve)) };
  };
  const hasEnded = () => child === undefined || child.exitCode !== null || child.signalCode !== null;

  const stack: TestStack = {
    dir,
    fleet,
    output: () => output,
    file: () => JSON.parse(readFileSync(join(dir, 'stack.json'), 'utf8')) as StackFile,
    start: async () => {
      output = '';
      const { started, end } = run((text) => {
        output += text;
      });
      child = started;
      exited = end;
      await waitFor('the stack', () => hasEnded() || /^ready$/m.test(output), UP_WITHIN_MS);
      if (hasEnded()) throw new Error(`the stack did not start:\n${output}`);
    },
    startAgain: async () => {
      let output = '';
      const { end } = run((text) => {
        output += text;
      });
      return { code: await end, output };
    },
    kill: (signal) => child?.kill(signal),
    ended: () => exited,
    remove: async () => {
      if (!hasEnded()) {
        child?.kill('SIGTERM');
        await exited;
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return stack;
}

/** Kills a part and waits until the stack has started another process in its place. */
export const killPart = (stack: TestStack, name: string): Promise<void> => signalPart(stack, name, 'SIGKILL');

/** Ends a part by a signal and waits until the stack has started another process in its place. */
export async function signalPart(
  stack: TestStack,
  name: string,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  const pid = pidOf(stack, name);
  process.kill(pid, signal);
  await waitFor(`${name} to be restarted`, () => pidOf(stack, name) !== pid && born(pidOf(stack, name)));
}

function pidOf(stack: TestStack, name: string): number {
  const pid = stack.file().pids[name];
  if (pid === undefined) throw new Error(`no part ${name}`);
  return pid;
}
