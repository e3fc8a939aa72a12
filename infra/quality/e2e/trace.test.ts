import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { keys } from '@warmwind/shared/engine/keys';
import type Docker from 'dockerode';
import { Redis } from 'ioredis';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { born } from '../../local/stack/processes.ts';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { connects, edgeOf, type Watcher, watch } from './client.ts';
import { instanceOf } from './instance.ts';
import { createStack, killPart, type TestStack } from './stack.ts';

const WAIT_MS = 60_000;
const FAILURES: string[] = ['job.failed', 'job.timed_out', 'container.failed', 'container.lost'];

let stack: TestStack;
let docker: Docker;

beforeAll(async () => {
  ({ docker } = await startEngine());
  stack = createStack({ RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}', LEASE_MS: '3000' });
  await stack.start();
}, ENGINE_WITHIN_MS);

afterAll(() => stack.remove(), 90_000);

/** @returns the fleet's engine containers and volumes, or those of one desktop */
async function onEngine(containerId?: string): Promise<string[]> {
  const filters = { label: [`warmwind.fleet=${stack.fleet}`] };
  const found = {
    containers: await docker.listContainers({ all: true, filters }),
    volumes: (await docker.listVolumes({ filters })).Volumes ?? [],
  };
  const only = containerId === undefined ? undefined : await instanceOf(stack, containerId);
  const containers = found.containers.filter(({ Names }) => !only || Names[0] === `/${only}`);
  const Volumes = found.volumes.filter(({ Name }) => !only || Name === only);
  return [
    ...containers.map(({ Names }) => `container ${Names[0]}`),
    ...Volumes.map(({ Name }) => `volume ${Name}`),
  ];
}
const containersOf = async (id: string) =>
  (await onEngine(id)).filter((what) => what.startsWith('container'));

/** @returns when a part logged `message`, Unix ms */
function timeOf(part: string, message: string): number {
  const lines = readFileSync(join(stack.dir, 'logs', `${part}.log`), 'utf8').split('\n');
  const line = lines.findLast((text) => text.includes(`"msg":"${message}"`)) ?? '{}';
  return Date.parse((JSON.parse(line) as { time: string }).time);
}

/** Starts and stops a desktop, and checks its events at the relay node `relay` by a stock client. */
async function walk(relay: string): Promise<void> {
  const file = stack.file();
  const edge = edgeOf(file);
  const { jobId, containerId } = await edge.startContainer();

  const watcher = await watch(file, relay);
  const sees = (type: string) =>
    waitFor(
      type,
      () => {
        const failed = watcher.events.find((event) => FAILURES.includes(event.type));
        if (failed) throw new Error(JSON.stringify(failed));
        return watcher.events.some((event) => event.type === type);
      },
      WAIT_MS,
    ).catch((error: Error) => {
      const seen = watcher.events.map((event) => event.type).join(', ');
      throw new Error(`${error.message}; ${containerId} at ${relay} saw: ${seen}`);
    });
  try {
    expect(await watcher.subscribe(`container:${containerId}`)).toMatchObject({ ok: true });
    expect(await watcher.subscribe(`job:${jobId}`)).toMatchObject({ ok: true });
    await sees('container.started');
    await sees('job.completed');
    expect(await edge.getContainer(containerId)).toMatchObject({ id: containerId, state: 'running' });
    expect(await edge.getJob(jobId)).toMatchObject({
      state: 'completed',
      progress: 100,
    });
    expect(await containersOf(containerId)).toHaveLength(1);

    await edge.stopContainer({ containerId });
    await sees('container.stopped');
    expect((await edge.getContainer(containerId)).state).toBe('stopped');
    await waitFor('the container to be gone', async () => (await onEngine(containerId)).length === 0);
  } finally {
    watcher.socket.disconnect();
  }
}

it('a desktop starts and stops, and its events arrive at each relay node', async () => {
  for (const relay of stack.file().relays) await walk(relay);
}, 180_000);

it('sockets work through nginx', async () => {
  await walk(stack.file().relay);
}, 120_000);

it('pages of the edge itself may call the edge and the relay, other origins may not', async () => {
  const { edge, relay } = stack.file();
  const port = new URL(edge).port;
  const allowed = async (origin: string) => {
    const { headers } = await fetch(`${edge}/health/live`, { headers: { origin } });
    return [headers.get('access-control-allow-origin') === origin, await connects(relay, origin)];
  };
  expect(await allowed(`http://127.0.0.1:${port}`)).toEqual([true, true]);
  expect(await allowed(`http://localhost:${port}`)).toEqual([true, true]);
  expect(await allowed('http://evil.test')).toEqual([false, false]);
}, 30_000);

it('a second start prints the running stack and changes nothing', async () => {
  const before = stack.file();
  const { code, output } = await stack.startAgain();
  expect(code).toBe(0);
  expect(output).toContain(before.edge);
  expect(output).not.toContain(before.authSecret);
  expect(stack.file()).toEqual(before);
}, 60_000);

it('an invalid setting is named, and nothing starts', async () => {
  const wrong = createStack({ RATE_LIMITS: '{"user": ["often"]}' });
  const { code, output } = await wrong.startAgain();
  await wrong.remove();
  expect(code).toBe(1);
  expect(output).toMatch(/^Nothing was started: .*\n\s+RATE_LIMITS.*write a tier as "10\/s"/m);
}, 30_000);

it.each([
  'nginx',
  'edge',
  'gateway',
  'relay-1',
  'relay-2',
  'worker-1',
  'worker-2',
  'redis-realtime',
  'redis-queue',
  'postgres',
  'model-server',
])(
  'after a kill %s is restarted on its address, and a desktop starts and stops',
  async (name) => {
    const { pids: _, tokens: __, ...addresses } = stack.file();
    await killPart(stack, name);
    const file = stack.file();
    expect(file).toMatchObject(addresses);
    const probes = [file.edge, file.relay, ...file.relays, ...file.workers.map(({ url }) => url)];
    await waitFor(
      'every part to be ready',
      async () => {
        const answers = await Promise.all(
          probes.map((url) =>
            fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5000) }).then(
              (r) => r.ok,
              () => false,
            ),
          ),
        );
        return answers.every(Boolean);
      },
      WAIT_MS,
    );
    await walk(file.relays[1] ?? '');
  },
  240_000,
);

it('the queue inspection of each worker requires the password', async () => {
  const { workers, adminPassword } = stack.file();
  for (const { admin, host } of workers) {
    const queues = `${admin}/api/queues`;
    expect((await fetch(queues)).status).toBe(401);
    const headers = { Authorization: `Basic ${btoa(`admin:${adminPassword}`)}` };
    const answer = await fetch(queues, { headers });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain(`"containers-${host}"`);
  }
});

it('no desktop and no job is lost when the queue Redis is flushed', async () => {
  const file = stack.file();
  const ledger = postgres(file.ledger?.url ?? '', { max: 1 });
  const recorded = (jobId: string) =>
    waitFor(
      'the ledger to know the end',
      async () => {
        const [row] = await ledger`select state from jobs where id = ${jobId}`;
        return row?.state === 'completed';
      },
      WAIT_MS,
    );
  const edge = edgeOf(file);
  const first = await edge.startContainer();
  const state = async () => (await edge.getContainer(first.containerId)).state;
  await waitFor('the desktop', async () => (await state()) === 'running', WAIT_MS);
  const job = () => edge.getJob(first.jobId);
  await waitFor('the job', async () => (await job()).state === 'completed', WAIT_MS);
  const [container] = await containersOf(first.containerId);
  const redis = new Redis(file.redis.queue);
  redis.on('error', () => undefined);
  // A change that is not in the ledger yet would be repeated.
  await recorded(first.jobId);
  await redis.flushall();
  await waitFor('the desktop, still', async () => (await state()) === 'running', WAIT_MS);
  await waitFor('the job, still', async () => (await job()).state === 'completed', WAIT_MS);
  const next = await edge.startContainer();
  const other = async () => (await edge.getContainer(next.containerId)).state;
  await waitFor('the next desktop', async () => (await other()) === 'running', WAIT_MS);
  await recorded(next.jobId);
  await ledger.end();
  const record = keys.container('user-1', first.containerId);
  await waitFor('the record', async () => (await redis.exists(record)) === 1, WAIT_MS);
  redis.disconnect();
  expect(await containersOf(first.containerId)).toEqual([container]);
  for (const { containerId } of [first, next]) {
    await edge.stopContainer({ containerId });
    const stopped = async () => (await edge.getContainer(containerId)).state === 'stopped';
    await waitFor('the stop', stopped, WAIT_MS);
  }
  const { items } = await edge.listJobs({ limit: 100 });
  expect(items.filter((item) => item.state !== 'completed')).toEqual([]);
}, 240_000);

/** @returns the processes without the engine, which other tests of this run use */
const ownParts = (pids: Record<string, number>) =>
  Object.entries(pids).filter(([name]) => name !== 'dockerd');

it('a stack starts after the previous one was killed, and ends its processes', async () => {
  const before = stack.file();
  stack.kill('SIGKILL');
  await stack.ended();
  await stack.start();
  const { pids, authSecret } = before;
  expect(stack.output()).toContain(`ended ${ownParts(pids).length} parts`);
  expect(stack.file().authSecret).toBe(authSecret);
  for (const [, pid] of ownParts(pids)) expect(born(pid)).toBeUndefined();
  await walk(stack.file().relays[0] ?? '');
}, 240_000);

/** The desktop that ran at SIGTERM, and its watcher. */
let last: { containerId: string; watcher: Watcher };

it('SIGTERM leaves no process, port, engine container or volume', async () => {
  const file = stack.file();
  const { containerId } = await edgeOf(file).startContainer();
  const watcher = await watch(file, file.relays[0] ?? '');
  last = { containerId, watcher };
  expect(await watcher.subscribe(`container:${containerId}`)).toMatchObject({ ok: true });
  const runs = () => watcher.events.some(({ type }) => type === 'container.started');
  await waitFor('the desktop', runs, WAIT_MS);
  expect(await containersOf(containerId)).toHaveLength(1);
  stack.kill('SIGTERM');
  stack.kill('SIGINT');
  expect(await stack.ended()).toBe(0);
  // Workers drain before the relays, so that watchers receive the ends of their jobs.
  const drained = ['worker-1', 'worker-2'].map((name) => timeOf(name, 'drained'));
  const draining = ['relay-1', 'relay-2'].map((name) => timeOf(name, 'draining'));
  expect(Math.max(...drained)).toBeLessThanOrEqual(Math.min(...draining));
  expect(ownParts(file.pids).filter(([, pid]) => born(pid) !== undefined)).toEqual([]);
  expect(await onEngine()).toEqual([]);
  expect(() => stack.file()).toThrow('ENOENT');
  for (const url of [file.edge, file.relay, ...file.relays]) await expect(fetch(url)).rejects.toThrow();
}, 120_000);

it('a watcher of a desktop that ran at SIGTERM receives container.stopped once, as the last event', () => {
  last.watcher.socket.disconnect();
  const received = last.watcher.events.filter(({ room }) => room === `container:${last.containerId}`);
  expect(received.map(({ type }) => type).slice(-3)).toEqual([
    'container.started',
    'container.stopping',
    'container.stopped',
  ]);
});

it('a stack that lost its queue Redis runs an accepted job that had not run', async () => {
  await stack.start();
  const { pids } = stack.file();
  for (const name of ['worker-1', 'worker-2']) process.kill(pids[name] ?? 0, 'SIGSTOP');
  const { jobId, containerId } = await edgeOf(stack.file()).startContainer();
  stack.kill('SIGKILL');
  await stack.ended();
  process.kill(pids['redis-queue'] ?? 0, 'SIGKILL');
  await waitFor('Redis to end', () => born(pids['redis-queue'] ?? 0) === undefined);
  rmSync(join(stack.dir, 'redis-queue'), { recursive: true });
  await stack.start();
  const job = async () => (await edgeOf(stack.file()).getJob(jobId)).state;
  await waitFor('the job', async () => (await job()) === 'completed', WAIT_MS);
  expect(await containersOf(containerId)).toHaveLength(1);
  stack.kill('SIGTERM');
  expect(await stack.ended()).toBe(0);
}, 240_000);

it('jobs and containers are known after the next start of the stack', async () => {
  await stack.start();
  const edge = edgeOf(stack.file());
  expect((await edge.listJobs()).items.length).toBeGreaterThan(0);
  expect((await edge.getContainer(last.containerId)).state).toBe('stopped');
  expect(readFileSync(join(stack.dir, 'logs/worker-1.log'), 'utf8')).not.toContain('exited on its own');
  expect(readFileSync(join(stack.dir, 'logs/worker-2.log'), 'utf8')).not.toContain('exited on its own');
}, 120_000);
