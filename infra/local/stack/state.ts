import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { ProcessId } from './processes.ts';

/**
 * The content of `.warmwind/stack.json`: all that a client, a test or an operator needs of a running stack.
 */
export type StackFile = {
  edge: string;
  relay: string;
  relays: string[];
  /** `admin`: Bull Board, for the user `admin` with `adminPassword`. */
  workers: { url: string; host: string; admin: string }[];
  /** OpenAI's API below `/v1`. Absent when the model server is off. */
  modelServer?: string;
  /** Absent when the ledger is off; `pooledUrl`: through the pooler, as the edge connects. */
  ledger?: { url: string; pooledUrl: string | undefined };
  redis: { queue: string; realtime: string; rest: { url: string; token: string } };
  authSecret: string;
  adminPassword: string;
  tokens: { user: string; other: string; admin: string };
  pids: Record<string, number>;
};

/** The stack's own folder (mode 0700): state, secrets, logs and the servers' data, in files that only their owner reads. */
export type StateDir = {
  path: string;
  /** Distinguishes stacks of different folders on one Docker Engine or machine. */
  fleet: string;
  file: (name: string) => string;
  read: (name: string) => unknown;
  write: (name: string, value: unknown) => void;
  remove: (name: string) => void;
};

export function openStateDir(path: string): StateDir {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chmodSync(path, 0o700);
  const real = realpathSync(path);
  const file = (name: string) => join(real, name);
  return {
    path: real,
    fleet: `fleet-${createHash('sha256').update(real).digest('hex').slice(0, 10)}`,
    file,
    read: (name) => {
      try {
        return JSON.parse(readFileSync(file(name), 'utf8')) as unknown;
      } catch {
        return undefined;
      }
    },
    // Written aside and renamed: a reader sees the old file or the new one, never a part of one.
    write: (name, value) => {
      const aside = file(`${name}.${process.pid}.tmp`);
      writeFileSync(aside, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
      renameSync(aside, file(name));
    },
    remove: (name) => rmSync(file(name), { force: true }),
  };
}

/**
 * Takes the folder for this process, for as long as it lives: the lock is an abstract socket, which the kernel frees
 * however the process ends. `false` when another process holds it.
 */
export function lock(dir: StateDir): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    );
    server.listen(`\0warmwind-stack-${dir.fleet}`, () => {
      server.unref();
      resolve(true);
    });
  });
}

/**
 * `run.json`: the processes of a run, from their first moment on, so that the next start can end those that
 * outlived a SIGKILL.
 */
export type RunFile = { stack: ProcessId; parts: Record<string, ProcessId> };

export const readRun = (dir: StateDir): ProcessId[] => {
  const run = dir.read('run.json') as Partial<RunFile> | undefined;
  return Object.values(run?.parts ?? {});
};
