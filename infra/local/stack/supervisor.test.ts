import { once } from 'node:events';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { freePort } from '../../quality/testing/port.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { answersFrom } from './answers.ts';
import { born, endLeftovers, listensOn, type ProcessId } from './processes.ts';
import { queueArgs, redisAnswers } from './redis.ts';
import { type Part, Supervisor } from './supervisor.ts';
import { findTool } from './tools.ts';

let dir: string;
let output: string[];
let recorded: Record<string, ProcessId>;
let supervisor: Supervisor;
const started = new Set<string>();

beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'warmwind-supervisor-')));
  output = [];
  recorded = {};
  supervisor = new Supervisor({
    cwd: dir,
    logs: dir,
    report: (name, text) => output.push(`${name} ${text}`),
    changed: (processes) => {
      recorded = processes;
    },
  });
});

afterEach(async () => {
  await supervisor.stop([...started]);
  started.clear();
  rmSync(dir, { recursive: true, force: true });
});

const start = (part: Part) => {
  started.add(part.name);
  return supervisor.start(part);
};
const pidOf = (name: string) => recorded[name]?.pid ?? 0;

/** A part that runs a shell. */
const shell = (name: string, script: string, options: Partial<Part> = {}): Part => ({
  name,
  what: 'a shell',
  url: '',
  command: '/bin/sh',
  args: ['-c', script],
  env: { PATH: process.env.PATH ?? '' },
  prepare: async () => undefined,
  ready: async () => true,
  readyWithinMs: 5000,
  stopSignal: 'SIGTERM',
  stopWithinMs: 5000,
  ...options,
});

const redis = async (): Promise<Part & { port: number }> => {
  const port = await freePort();
  return {
    ...shell('redis-queue', ''),
    command: findTool('redis-server') ?? '',
    args: queueArgs(port, dir),
    ready: (pid) => redisAnswers(port, pid),
    port,
  };
};

it('a killed part restarts on its port as another process, with its data', async () => {
  const part = await redis();
  await start(part);
  const first = pidOf(part.name);
  const client = new Redis(part.port, '127.0.0.1', { maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  try {
    await client.set('kept', 'yes');
    // AOF everysec: on disk within about a second; `WAITAOF` is not in every Redis.
    await waitFor('the AOF to be written', async () =>
      (await client.info('persistence')).includes('aof_pending_bio_fsync:0'),
    );
    process.kill(first, 'SIGKILL');
    await waitFor('it to be back', () => output.some((line) => line.includes('is back')));
    expect(pidOf(part.name)).not.toBe(first);
    expect(output[0]).toContain('ended (SIGKILL)');
    expect(await client.get('kept')).toBe('yes');
  } finally {
    client.disconnect();
  }
});

it('the rest of a killed part’s process group is ended before it starts again', async () => {
  const child = join(dir, 'child');
  await start(shell('parent', `sleep 1000 & echo $! > ${child}; wait`));
  const leftover = await waitFor('the child', () => {
    try {
      return Number(readFileSync(child, 'utf8'));
    } catch {
      return undefined;
    }
  });
  process.kill(pidOf('parent'), 'SIGKILL');
  await waitFor('the restart', () => output.some((line) => line.includes('is back')));
  expect(born(leftover)).toBeUndefined();
});

it('a part that never starts is abandoned with its reason and the end of its log', async () => {
  await expect(
    start(shell('broken', 'echo the disk is made of cheese; exit 3', { ready: async () => false })),
  ).rejects.toThrow(/exit code 3[\s\S]*made of cheese/);
});

it('a part that exits with 78 is not started again', async () => {
  const part = shell('elsewhere', 'echo not on this machine; exit 78', { ready: async () => false });
  await expect(start(part)).rejects.toThrow(/exit code 78[\s\S]*not on this machine/);
  expect(output).toEqual([]);
});

it('a part that is not ready in time is abandoned', async () => {
  const part = shell('slow', 'exec sleep 1000', { ready: async () => false, readyWithinMs: 100 });
  await expect(start(part)).rejects.toThrow('not ready within 100 ms');
});

it('a part that ignores its stop signal is killed after its bound', async () => {
  await start(shell('stubborn', `trap '' TERM; while :; do sleep 0.05; done`, { stopWithinMs: 200 }));
  const pid = pidOf('stubborn');
  await supervisor.stop(['stubborn']);
  expect(born(pid)).toBeUndefined();
});

it('a part that was stopped is not started again, and a closed supervisor starts nothing', async () => {
  await start(shell('once', 'exec sleep 1000'));
  supervisor.close();
  await supervisor.stop(['once']);
  expect(output).toEqual([]);
  await expect(supervisor.start(shell('late', 'exec sleep 1000'))).rejects.toThrow('stopping');
});

it('leftovers of a killed stack are ended, their orphans too, and a reused pid is left alone', async () => {
  await start(shell('alive', 'exec sleep 1000'));
  const alive = recorded.alive as ProcessId;
  expect(await endLeftovers([{ pid: alive.pid, born: 'another boot/1' }], dir)).toBe(0);
  expect(born(alive.pid)).toBe(alive.born);
  expect(await endLeftovers([alive], dir)).toBe(1);
  expect(born(alive.pid)).not.toBe(alive.born);
});

it('a part is not ready while another process answers on its port', async () => {
  const stranger = createServer((_, response) => response.end()).listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  const url = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}/`;
  const part = shell('a', 'sleep 60', { ready: (pid) => answersFrom(pid, url), readyWithinMs: 300 });
  await expect(start(part)).rejects.toThrow('a does not start: not ready within 300 ms');
  stranger.close();
});

it('a part is ready when a process of its group answers on its port', async () => {
  const port = await freePort();
  const script = `require('http').createServer((_, response) => response.end()).listen(${port}, '127.0.0.1')`;
  const ready = (pid: number) => answersFrom(pid, `http://127.0.0.1:${port}/`);
  // The shell stays and the server is its child.
  await start(shell('a', `'${process.execPath}' -e "${script}"; true`, { ready }));
  expect(listensOn(pidOf('a'), port)).toBe(true);
});
