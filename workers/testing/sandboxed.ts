import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '../sandbox/serve.ts';

/** The input of a test's fork. */
export type Task = {
  do: 'answer' | 'heap' | 'buffers' | 'hang' | 'wait' | 'die' | 'reach' | 'keep';
  port?: number;
};

const kept: Buffer[] = [];
const MB = 2 ** 20;

/** The behaviours of jobs that tests ask for, most of which are forbidden. */
const tasks: Record<Task['do'], (task: Task) => unknown> = {
  answer: () => ({ pid: process.pid }),
  heap: () => {
    const all: number[][] = [];
    for (;;) all.push(Array.from({ length: 100_000 }, () => Math.random()));
  },
  buffers: () => {
    for (;;) kept.push(Buffer.alloc(MB, 1));
  },
  /** Allocates 40 MB and never frees them. */
  keep: () => {
    for (let i = 0; i < 40; i++) kept.push(Buffer.alloc(MB, 1));
    return { pid: process.pid };
  },
  hang: () => {
    for (;;);
  },
  wait: () => sleep(600_000),
  die: () => process.abort(),
  reach: async ({ port = 0 }) => ({
    environment: Object.keys(process.env),
    read: refusal(() => readFileSync('/etc/hostname')),
    write: refusal(() => writeFileSync('/tmp/warmwind-sandbox', '')),
    environ: refusal(() => readFileSync(`/proc/${process.ppid}/environ`)),
    start: refusal(() => spawnSync('true')),
    network: await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('connect', () => resolve('none'));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    }),
  }),
};

function refusal(attempt: () => unknown): string {
  try {
    attempt();
    return 'none';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

serve(async () => async (input, progress) => {
  // Reports to the test that the job has begun.
  progress(1);
  return tasks[(input as Task).do](input as Task);
});
