import { type Connection, connect } from '@warmwind/shared/client/client';
import type { EdgeClient } from '@warmwind/shared/client/http';
import { openTerminal } from '@warmwind/shared/client/terminal';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { edgeOf } from './client.ts';
import { instanceOf } from './instance.ts';
import { createStack, killPart, type TestStack } from './stack.ts';

const IDLE_MS = 60_000;

let stack: TestStack;
let edge: EdgeClient;
let relay: Connection;

beforeAll(async () => {
  await startEngine();
  stack = createStack({
    RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}',
    MODEL_SERVER: 'off',
    LEASE_MS: '3000',
  });
  await stack.start();
  edge = edgeOf(stack.file());
  const token = async () => (await edge.createTicket({ mode: 'control' })).token;
  relay = connect({ url: stack.file().relay, token });
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  relay?.close();
  await stack?.remove();
}, 90_000);

const stateOf = async (containerId: string) => {
  const { state, pausedBy } = await edge.getContainer(containerId);
  return pausedBy ? `${state} by ${pausedBy}` : state;
};
async function start(request: object = {}): Promise<string> {
  const { containerId } = await edge.startContainer({ memoryMb: 256, ttlSeconds: 3600, ...request });
  await waitFor('the desktop', async () => (await stateOf(containerId)) === 'running', 60_000);
  return containerId;
}
const engineState = async (containerId: string) => {
  const { docker } = await startEngine();
  return (await docker.getContainer(await instanceOf(stack, containerId)).inspect()).State.Status;
};
const codeOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: { code?: unknown }) => error.code ?? error,
  );
const command = async (kind: 'container.pause' | 'container.resume', containerId: string) => {
  const { jobId } = await edge.command(kind, { containerId });
  await waitFor(kind, async () => (await edge.getJob(jobId)).state === 'completed', 60_000);
};
/** What a terminal shows, as it grows. */
async function terminalOf(containerId: string, cmd: [string, ...string[]]) {
  const terminal = await openTerminal(relay, { containerId, cols: 80, rows: 24, cmd });
  const shown = { text: '' };
  const write = (bytes: Uint8Array) => {
    shown.text += Buffer.from(bytes).toString();
  };
  terminal.readable.pipeTo(new WritableStream({ write })).catch(() => undefined);
  return { terminal, shown };
}
/** Watches a screen. */
function view(containerId: string) {
  const seen = { keys: 0, frames: 0, gone: '', dropped: 0 };
  const screen = relay.watch(containerId, {
    onKey: () => {
      seen.keys += 1;
    },
    onFrame: () => {
      seen.frames += 1;
    },
    onGone: (reason) => {
      seen.gone = reason;
    },
    onDropped: ({ count }) => {
      seen.dropped += count;
    },
  });
  return { screen, seen };
}

test('an idle desktop is paused, and everything that needs it resumes it', async () => {
  const used: Record<string, (containerId: string) => Promise<unknown>> = {
    actions: (containerId) => edge.act({ containerId, actions: [{ type: 'move', x: 1, y: 1 }] }),
    exec: async (containerId) => {
      const { job } = await edge.exec({ containerId, cmd: ['true'] }, { waitMs: 20_000 });
      expect(job).toMatchObject({ state: 'completed' });
    },
    file: (containerId) => edge.writeFile({ containerId, path: 'a.txt', content: 'a' }),
    terminal: async (containerId) => {
      const { terminal, shown } = await terminalOf(containerId, ['sh', '-c', 'echo here; cat']);
      await waitFor('its output', () => shown.text.includes('here'));
      await terminal.close();
    },
    viewer: async (containerId) => {
      const { screen, seen } = view(containerId);
      await waitFor('the screen', () => seen.keys > 0);
      screen.close();
    },
  };
  const desktops: [string, string][] = [];
  for (const name of Object.keys(used)) {
    desktops.push([name, await start({ name, idleSeconds: 10, onIdle: 'pause' })]);
  }
  for (const [name, containerId] of desktops) {
    await waitFor(
      `${name} to be paused`,
      async () => (await stateOf(containerId)) === 'paused by idle',
      IDLE_MS,
    );
    expect(await engineState(containerId)).toBe('paused');
    await used[name]?.(containerId);
    expect([name, await stateOf(containerId)]).toEqual([name, 'running']);
    await edge.stopContainer({ containerId });
  }
}, 240_000);

test('a requested pause outlives its worker, refuses what needs the desktop, and loses nothing of what was open', async () => {
  const containerId = await start();
  const { terminal, shown } = await terminalOf(containerId, ['sh', '-c', 'stty -echo; echo ready; cat']);
  await waitFor('the terminal', () => shown.text.includes('ready'));
  const first = view(containerId);
  await waitFor('the screen', () => first.seen.keys > 0);
  const script = 'while [ ! -e go ]; do sleep 0.05; done; echo ended';
  const { jobId } = await edge.exec({ containerId, cmd: ['sh', '-c', script] });
  await waitFor('the program', async () => (await edge.getJob(jobId)).state === 'active');
  await command('container.pause', containerId);
  expect([await stateOf(containerId), await engineState(containerId)]).toEqual([
    'paused by request',
    'paused',
  ]);

  const refused: Record<string, () => Promise<unknown>> = {
    actions: () => edge.act({ containerId, actions: [{ type: 'click', x: 1, y: 1 }] }),
    screenshot: () => edge.screenshot({ containerId }),
    exec: () => edge.exec({ containerId, cmd: ['true'] }),
    file: () => edge.readFile({ containerId, path: '' }),
    session: () => terminalOf(containerId, ['sh']),
  };
  for (const [name, ask] of Object.entries(refused))
    expect([name, await codeOf(ask())]).toEqual([name, 'paused']);
  const { expiresAt } = await edge.extendContainer({ containerId, ttlSeconds: 7200 });
  expect((await edge.getContainer(containerId)).expiresAt).toBe(expiresAt);
  first.screen.input({ t: 'key', keysym: 0x61, down: true });
  await waitFor('the report of the input', () => first.seen.dropped > 0);
  await terminal.writable.getWriter().write(Buffer.from('typed\n'));

  expect(first.seen.gone).toBe('');
  const host = (await edge.getContainer(containerId)).host ?? '';
  await killPart(stack, host);
  expect(await codeOf(edge.screenshot({ containerId }))).toBe('paused');
  await command('container.resume', containerId);
  expect(await engineState(containerId)).toBe('running');
  const { keys } = first.seen;
  await waitFor('the screen', () => first.seen.keys > keys, 30_000);
  await waitFor('what was typed', () => shown.text.includes('typed'), 60_000);
  await edge.exec({ containerId, cmd: ['touch', 'go'] }, { waitMs: 20_000 });
  await waitFor('the program to end', async () => (await edge.getJob(jobId)).state === 'completed', 60_000);
  expect((await edge.getJob(jobId)).result).toMatchObject({ stdout: 'ended\n' });
  await edge.stopContainer({ containerId });
}, 240_000);

test('a worker that dies amid pauses and resumptions leaves the engine as the record says', async () => {
  const containerId = await start();
  const host = (await edge.getContainer(containerId)).host ?? '';
  for (const [kind, state] of [
    ['container.pause', 'paused'],
    ['container.resume', 'running'],
    ['container.pause', 'paused'],
  ] as const) {
    const { jobId } = await edge.command(kind, { containerId });
    await killPart(stack, host);
    await waitFor('the job', async () => (await edge.getJob(jobId)).state === 'completed', 60_000);
    expect([(await edge.getContainer(containerId)).state, await engineState(containerId)]).toEqual([
      state,
      state,
    ]);
  }
  await edge.stopContainer({ containerId });
  await waitFor('its end', async () => (await stateOf(containerId)) === 'stopped', 60_000);
}, 240_000);
