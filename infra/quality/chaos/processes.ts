import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';

/** What a service may say before its oldest lines are forgotten. */
const MAX_LINES = 50_000;
/** As an orchestrator does: a process that does not end when told is killed, ms. */
const STOP_WITHIN_MS = 30_000;
const LAST_WORDS = 30;
/** A machine that runs all of this takes its time. */
const START_WITHIN_MS = 60_000;

/** One of our Node services in a process of its own, which can be killed and started again under its address. */
export type Service = {
  name: string;
  url: string;
  lines: string[];
  /** Each time that it ended without being told to: how, and its last words. */
  crashes: string[];
  /** Each time that it was told to end, and when it was back, ms. */
  ends: { signal: 'SIGKILL' | 'SIGTERM'; at: number; back: number }[];
  /** Signals it and waits until it is gone. */
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

  let reported = false;

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
      reported = false;
      for (const stream of [started.stdout, started.stderr]) {
        createInterface(stream).on('line', (line) => {
          if (lines.push(line) > MAX_LINES) lines.shift();
        });
      }
      started.once('close', (code, signal) => {
        if (reported) return;
        service.crashes.push(
          [
            `ended with ${signal ?? code}`,
            ...lines.slice(-LAST_WORDS).map((line) => line.slice(0, 300)),
          ].join('\n'),
        );
        // As whoever supervises it would do.
        service.start().catch(() => undefined);
      });
      await waitFor(
        `${name} to answer`,
        async () => {
          if (hasEnded(started)) throw new Error(`${name} does not start:\n${lines.slice(-20).join('\n')}`);
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
      reported = true;
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
