import { connect } from '@warmwind/shared/client/client';
import type { EdgeClient } from '@warmwind/shared/client/http';
import { openTerminal } from '@warmwind/shared/client/terminal';
import { io } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { edgeOf } from './client.ts';
import { createStack, killPart, type TestStack } from './stack.ts';

let stack: TestStack;
let edge: EdgeClient;
let containerId: string;
/** The part of the stack that is the container's host. */
let host: string;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  await startEngine();
  stack = createStack({ MODEL_SERVER: 'off' });
  await stack.start();
  edge = edgeOf(stack.file());
  containerId = (await edge.startContainer({ ttlSeconds: 3600 })).containerId;
  const desktop = await waitFor(
    'the desktop',
    async () => {
      const now = await edge.getContainer(containerId);
      return now.state === 'running' && now;
    },
    60_000,
  );
  host = desktop.host ?? '';
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await stack?.remove();
}, 90_000);

const token = async () => (await edge.createTicket({ mode: 'control' })).token;
/** Writes numbered lines for some twenty seconds, then what is typed. */
const LINES = 8000;
const SCRIPT = `stty raw -echo; i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo line $i; [ $((i%40)) = 0 ] && sleep 0.1; done; cat`;
const EXPECTED = Array.from({ length: LINES }, (_, i) => `line ${i + 1}\n`).join('');

/** Kills both relay nodes and the worker, one after the other. */
async function killAll(): Promise<void> {
  await killPart(stack, 'relay-1');
  await killPart(stack, host);
  await killPart(stack, 'relay-2');
}

test('the client receives all output of a terminal through kills of every part, and types afterwards', async () => {
  const relay = connect({ url: stack.file().relay, token });
  ends.push(() => relay.close());
  let gaps = 0;
  const onGap = (bytes: number) => {
    gaps += bytes;
  };
  const terminal = await openTerminal(relay, {
    containerId,
    cols: 80,
    rows: 24,
    cmd: ['sh', '-c', SCRIPT],
    onGap,
  });
  let text = '';
  const write = (bytes: Uint8Array) => {
    text += Buffer.from(bytes).toString();
  };
  terminal.readable.pipeTo(new WritableStream({ write })).catch(() => undefined);
  await waitFor('the first lines', () => text.includes('line 100\n'));
  await killAll();
  await waitFor('the last line', () => text.endsWith(`line ${LINES}\n`), 90_000);
  expect([gaps, text === EXPECTED]).toEqual([0, true]);
  await terminal.writable.getWriter().write(Buffer.from('typed afterwards'));
  await waitFor('the echo', () => text.endsWith('typed afterwards'), 30_000);
  expect(await terminal.close()).toMatchObject({ code: null });
});

test('a stock client that attaches at its offset after each connection receives all output', async () => {
  const socket = io(stack.file().relay, {
    transports: ['websocket'],
    reconnectionDelay: 200,
    reconnectionDelayMax: 1000,
    auth: (send) => void token().then((ticket) => send({ token: ticket })),
  });
  ends.push(() => socket.disconnect());
  let ttyId = '';
  let text = '';
  let offset = 0;
  socket.on('tty:data', (data: { offset: number; bytes: Buffer }) => {
    expect(data.offset).toBe(offset);
    offset += data.bytes.length;
    text += data.bytes.toString();
  });
  const attach = async () => {
    if (!ttyId || !socket.connected) return;
    const answer = await socket
      .timeout(10_000)
      .emitWithAck('tty:attach', { ttyId, after: offset })
      .catch(() => undefined);
    if (!answer?.ok) setTimeout(attach, 500);
  };
  socket.on('connect', () => void attach());
  await waitFor('the connection', () => socket.connected);
  const opening = { containerId, cols: 80, rows: 24, cmd: ['sh', '-c', SCRIPT] };
  ({ ttyId } = await socket.timeout(10_000).emitWithAck('tty:open', opening));
  await waitFor('the first lines', () => text.includes('line 100\n'));
  await killAll();
  await waitFor('the last line', () => text.endsWith(`line ${LINES}\n`), 90_000);
  expect(text).toBe(EXPECTED);
  expect(await socket.timeout(20_000).emitWithAck('tty:close', { ttyId })).toMatchObject({ ok: true });
});
