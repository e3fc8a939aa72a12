import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';

/** How many log lines of a service are kept. */
const MAX_LINES = 50_000;
/** A process that has not ended this long after SIGTERM is killed, as by an orchestrator, ms. */
const STOP_WITHIN_MS = 30_000;
/** How many log lines a crash is reported with. */
const CRASH_LINES = 30;
/** A machine that runs all of this starts a service slowly. */
const START_WITHIN_MS = 180_000;

/** A Node service in a process of its own, which can be killed and started again on the same port. */
export type Service = {
  name: string;
  url: string;
  lines: string[];
  /** Each time that it ended without a signal of ours: how, and its last log lines. */
  crashes: string[];
  /** Each signal that it got, when, and when it answered again, Unix ms. */
  ends: { signal: 'SIGKILL' | 'SIGTERM'; at: number; back: number }[];
  /** Sends the signal and waits until the process has ended. */
  end: (signal: 'SIGKILL' | 'SIGTERM') => Promise<void>;
  /** Starts it again; resolves when it answers. */
  start: () => Promise<void>;
};

/** @param main path below the repository's root */
export async function startService(
  name: string,
  main: string,
  env: Record<string, string>,
): Promise<Service> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const lines: string[] = [];
  let child: ChildProcess | undefined;

  /** Its end is expected: not a crash. */
  let expected = false;

  const service: Service = {
    name,
    url,
    lines,
    crashes: [],
    ends: [],
    start: async () => {
      // The kernel ends it with the process that started it.
      const args = ['--pdeathsig', 'KILL', process.execPath, join(import.meta.dirname, '../../..', main)];
      const started = spawn('setpriv', args, {
        env: { PATH: process.env.PATH, PORT: `${port}`, LOG_LEVEL: 'info', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      child = started;
      expected = false;
      for (const stream of [started.stdout, started.stderr]) {
        createInterface(stream).on('line', (line) => {
          if (lines.push(line) > MAX_LINES) lines.shift();
        });
      }
      started.once('close', (code, signal) => {
        if (expected) return;
        service.crashes.push(
          [
            `ended with ${signal ?? code}`,
            ...lines.slice(-CRASH_LINES).map((line) => line.slice(0, 300)),
          ].join('\n'),
        );
        // As a supervisor would do.
        service.start().catch(() => undefined);
      });
      await waitFor(
        `${name} to answer`,
        async () => {
          if (hasEnded(started)) throw new Error(`${name} did not start:\n${lines.slice(-20).join('\n')}`);
          return fetch(`${url}/health/live`, { signal: AbortSignal.timeout(2000) }).then(
            ({ ok }) => ok,
            () => false,
          );
        },
        START_WITHIN_MS,
      );
      const last = service.ends.at(-1);
      if (last?.back === Number.POSITIVE_INFINITY) last.back = Date.now();
    },
    end: async (signal) => {
      expected = true;
      const ending = child;
      if (!ending || hasEnded(ending)) return;
      service.ends.push({ signal, at: Date.now(), back: Number.POSITIVE_INFINITY });
      const gone = new Promise((resolve) => ending.once('exit', resolve));
      ending.kill(signal);
      const timer = setTimeout(() => ending.kill('SIGKILL'), STOP_WITHIN_MS);
      await gone;
      clearTimeout(timer);
    },
  };
  await service.start();
  return service;
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;
