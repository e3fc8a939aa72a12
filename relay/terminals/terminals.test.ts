import { createHash, randomUUID } from 'node:crypto';
import type { Socket as NetSocket } from 'node:net';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { io, type Socket } from 'socket.io-client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { freePort } from '../../infra/quality/testing/port.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { connect } from '../../shared/client/client.ts';
import { type ContainerAccess, ContainerClient } from '../../shared/client/container.ts';
import { attachTerminal } from '../../shared/client/terminal.ts';
import { createFleet, type Fleet, reached, type Worker } from '../../workers/testing/fleet.ts';
import type { Submitted } from '../../workers/testing/submissions.ts';
import { createRelay } from '../app.ts';
import { readConfig } from '../config.ts';
import { SECRET, ticket } from '../testing/world.ts';

let fleet: Fleet;
let worker: Worker;
let desktop: Submitted;
let relay: ReturnType<typeof createRelay>;
let url: string;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  fleet = await createFleet();
  worker = await fleet.worker('a');
  desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  const log = createLog('relay');
  log.level = process.env.LOG_LEVEL ?? 'silent';
  const env = {
    REDIS_QUEUE_URL: fleet.queueRedis.url,
    REDIS_REALTIME_URL: fleet.realtime.url,
    AUTH_SECRET: SECRET,
  };
  relay = createRelay(readConfig(env), log);
  const { server, port } = await listen(relay.http, '127.0.0.1', await freePort());
  relay.attach(server);
  url = `http://127.0.0.1:${port}`;
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(async () => {
  await relay?.close();
  await fleet?.stop();
});

type Answer = { ok: boolean; code?: string; ttyId: string; offset: number; received: number };
type Claims = Parameters<typeof ticket>[1];

/** Connects a stock Socket.IO client. */
async function client(user = desktop.userId, claims: Claims = { mode: 'control' }): Promise<Socket> {
  const token = await ticket(user, claims);
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false, auth: { token } });
  ends.push(() => socket.disconnect());
  socket.on('tty:data', ({ ttyId, ...data }) => outputOf(socket, ttyId).add(data));
  socket.on('tty:exit', ({ ttyId, ...exit }) => {
    outputOf(socket, ttyId).exit = exit;
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('connect_error', reject);
  });
  return socket;
}
const ask = (socket: Socket, event: string, argument: object): Promise<Answer> =>
  socket.timeout(25_000).emitWithAck(event, argument);

/** The output that a socket receives of one terminal. It may follow the answer in the same packet. */
class Output {
  #parts: Buffer[] = [];
  #tail = Buffer.alloc(0);
  /** The bytes that were missing between the parts of the output. */
  gaps = 0;
  /** The position after the last output. */
  at: number | undefined;
  exit: { code: number | null; signal?: string } | undefined;

  add({ offset, bytes }: { offset: number; bytes: Buffer }): void {
    if (offset < (this.at ?? 0)) throw new Error(`repeated: ${offset} < ${this.at}`);
    this.gaps += offset - (this.at ?? offset);
    this.at = offset + bytes.length;
    this.#parts.push(bytes);
    this.#tail = Buffer.concat([this.#tail, bytes]).subarray(-65_536);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  has(text: string): Promise<unknown> {
    return waitFor(`${text} at the end of the output`, () => this.#tail.includes(text), 20_000);
  }
  ended(): Promise<{ code: number | null; signal?: string }> {
    return waitFor('the exit', () => this.exit, 20_000);
  }
}
const outputs = new Map<Socket, Map<string, Output>>();
const outputOf = (socket: Socket, ttyId: string): Output => {
  const ofSocket = outputs.get(socket) ?? new Map<string, Output>();
  const output = ofSocket.get(ttyId) ?? new Output();
  outputs.set(socket, ofSocket.set(ttyId, output));
  return output;
};

/** Opens a terminal; it is closed after the test. */
async function open(
  socket: Socket,
  cmd: string[] = ['sh'],
  more: object = {},
): Promise<{ ttyId: string; output: Output; type: (text: string | Buffer) => Promise<Answer> }> {
  const { containerId } = desktop;
  const answer = await ask(socket, 'tty:open', { containerId, cols: 80, rows: 24, cmd, ...more });
  expect(answer).toMatchObject({ ok: true, offset: 0 });
  const { ttyId } = answer;
  ends.push(async () => ask(await client(), 'tty:close', { ttyId }));
  const output = outputOf(socket, ttyId);
  return { ttyId, output, type: (text) => ask(socket, 'tty:data', { ttyId, bytes: Buffer.from(text) }) };
}
/** Runs a command inside, outside of any terminal. */
const inside = async (command: string): Promise<string> => {
  const engine = fleet.docker.getContainer(await fleet.instance(desktop));
  const exec = await engine.exec({ Cmd: ['sh', '-c', command], AttachStdout: true, Tty: true });
  let text = '';
  for await (const chunk of await exec.start({ Tty: true })) text += chunk;
  return text.trim();
};
const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

test('a terminal has the size that was asked for, takes another, and reports its exit code', async () => {
  const socket = await client();
  const { ttyId, output, type } = await open(socket);
  await type('stty size; echo $TERM\n');
  await output.has('24 80');
  await output.has('xterm-256color');
  expect(await ask(socket, 'tty:resize', { ttyId, cols: 101, rows: 33 })).toEqual({ ok: true });
  await type('stty size; exit 7\n');
  await output.has('33 101');
  expect(await output.ended()).toEqual({ code: 7 });
  expect(await ask(socket, 'tty:data', { ttyId, bytes: Buffer.from('x') })).toMatchObject({
    ok: false,
    code: 'not_found',
  });
});

test('colours, UTF-8 and binary bytes pass unchanged in both directions', async () => {
  const { output, type } = await open(await client(), ['sh', '-c', 'stty raw -echo; echo ready; cat']);
  await output.has('ready');
  const from = output.bytes.length;
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const sent = Buffer.concat([Buffer.from('\x1b[31mGrüße 日本 👩‍💻\x1b[0m'), all, Buffer.from('end')]);
  await type(sent);
  await output.has('end');
  expect(output.bytes.subarray(from).toString('latin1')).toBe(sent.toString('latin1'));
});

test('two megabytes at once arrive as they were written', async () => {
  const script = 'stty raw; head -c 2000000 /dev/urandom > /tmp/burst; cat /tmp/burst';
  const { output } = await open(await client(), ['sh', '-c', script]);
  expect(await output.ended()).toEqual({ code: 0 });
  expect([output.gaps, output.bytes.length]).toEqual([0, 2_000_000]);
  expect(await inside('sha256sum /tmp/burst')).toContain(sha(output.bytes));
});

test('a client that disconnects in mid-stream and attaches at its offset misses nothing', async () => {
  const script = 'stty raw; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done';
  const socket = await client();
  const { ttyId, output } = await open(socket, ['sh', '-c', script]);
  await output.has('line 10\n');
  socket.disconnect();
  const next = await client();
  const after = output.at ?? 0;
  const rest = outputOf(next, ttyId);
  expect(await ask(next, 'tty:attach', { ttyId, after })).toMatchObject({ ok: true, ttyId, offset: after });
  expect(await rest.ended()).toEqual({ code: 0 });
  const lines = Array.from({ length: 3000 }, (_, i) => `line ${i + 1}\n`).join('');
  expect(Buffer.concat([output.bytes, rest.bytes]).toString()).toBe(lines);
  expect(rest.gaps).toBe(0);
});

test('output that is no longer kept is a gap that the answer reports', async () => {
  const socket = await client();
  const { ttyId, output, type } = await open(socket, [
    'sh',
    '-c',
    'stty raw -echo; read x; seq 100000; read y',
  ]);
  socket.emit('tty:detach', { ttyId });
  const other = await client();
  await ask(other, 'tty:attach', { ttyId, after: 0 });
  const watching = outputOf(other, ttyId);
  other.emit('tty:data', { ttyId, bytes: Buffer.from('\n') });
  await watching.has('100000\n');
  other.disconnect();
  const late = await client();
  const answer = await ask(late, 'tty:attach', { ttyId, after: output.at ?? 0 });
  expect(answer).toMatchObject({ ok: true, offset: (watching.at ?? 0) - 256 * 1024 });
  const rest = outputOf(late, ttyId);
  await rest.has('100000\n');
  expect([rest.at, rest.gaps]).toEqual([watching.at, 0]);
  expect(watching.bytes.subarray(-rest.bytes.length).equals(rest.bytes)).toBe(true);
  expect(await ask(late, 'tty:attach', { ttyId, after: (rest.at ?? 0) + 1 })).toMatchObject({
    ok: false,
    code: 'bad_request',
  });
  await type('\n').catch(() => undefined);
});

test('a client that does not read delays its terminal for seconds, and then has a gap', async () => {
  const [stalled, other] = [await client(), await client()];
  const script = 'stty raw -echo; read x; seq 2000000; echo fin; cat';
  const { ttyId, output } = await open(stalled, ['sh', '-c', script]);
  await ask(other, 'tty:attach', { ttyId });
  const complete = outputOf(other, ttyId);
  const { transport } = stalled.io.engine as unknown as { transport: { ws: { _socket: NetSocket } } };
  transport.ws._socket.pause();
  const held = () => relay.io.sockets.sockets.get(stalled.id ?? '')?.data.wire.heldBytes ?? 0;
  other.emit('tty:data', { ttyId, bytes: Buffer.from('\n') });
  await complete.has('2000000\nfin\n');
  expect(complete.gaps).toBe(0);
  expect(held()).toBeGreaterThan(0);
  expect(held()).toBeLessThan(1024 * 1024);
  transport.ws._socket.resume();
  await output.has('2000000\nfin\n');
  expect(output.gaps).toBeGreaterThan(0);
  expect([output.at, output.bytes.length + output.gaps]).toEqual([complete.at, complete.bytes.length]);
  expect(complete.bytes.subarray(-200_000).equals(output.bytes.subarray(-200_000))).toBe(true);
}, 60_000);

test('all attachments of a terminal receive its output, and each may type', async () => {
  const [first, second] = [await client(), await client()];
  const { ttyId, output, type } = await open(first);
  await type("echo o''ne\n");
  await output.has('one');
  await ask(second, 'tty:attach', { ttyId, after: 0 });
  const other = outputOf(second, ttyId);
  await other.has('one');
  second.emit('tty:data', { ttyId, bytes: Buffer.from("echo tw''o\n") });
  await Promise.all([output.has('two'), other.has('two')]);
  await type('exit 3\n');
  expect(await Promise.all([output.ended(), other.ended()])).toEqual([{ code: 3 }, { code: 3 }]);
});

test('close ends every descendant, and each attachment receives the exit', async () => {
  const socket = await client();
  const mark = `4${Date.now() % 100_000}`;
  const { ttyId, output, type } = await open(socket);
  await type(`setsid sleep ${mark} & sleep ${mark} & echo star''ted\n`);
  await output.has('started');
  const running = () => inside(`grep -al "^sleep.${mark}" /proc/[0-9]*/cmdline 2>/dev/null | wc -l`);
  await waitFor('both to run', async () => (await running()) === '2');
  const closer = await client();
  expect(await ask(closer, 'tty:close', { ttyId })).toMatchObject({ ok: true });
  expect(await running()).toBe('0');
  expect(await output.ended()).toMatchObject({ code: null, signal: expect.stringMatching(/^SIG/) });
});

test('only the owner reaches a terminal, with a ticket to control', async () => {
  const { containerId, userId } = desktop;
  const owner = await client();
  const { ttyId } = await open(owner);
  const [bob, viewer] = [await client('bob'), await client(userId, { mode: 'view' })];
  const guest = await client(userId, { mode: 'control', containerId });
  const size = { cols: 80, rows: 24 };
  const cases: [Socket, string, object, string][] = [
    [bob, 'tty:open', { containerId, ...size }, 'not_found'],
    [owner, 'tty:open', { containerId: randomUUID(), ...size }, 'not_found'],
    [owner, 'tty:open', { containerId: '../etc', ...size }, 'not_found'],
    [guest, 'tty:open', { containerId, ...size }, 'forbidden'],
    [viewer, 'tty:open', { containerId, ...size }, 'forbidden'],
    [owner, 'tty:open', { containerId, ...size, incarnation: 99 }, 'gone_incarnation'],
    [owner, 'tty:open', { containerId, ...size, cmd: ['no-such-program'] }, 'bad_request'],
    [owner, 'tty:open', { containerId, cols: 0, rows: 24 }, 'bad_request'],
    [owner, 'tty:open', { containerId, ...size, cmd: [] }, 'bad_request'],
    [owner, 'tty:open', { containerId, ...size, more: 1 }, 'bad_request'],
  ];
  for (const event of ['tty:attach', 'tty:close']) {
    cases.push([bob, event, { ttyId }, 'not_found'], [guest, event, { ttyId }, 'forbidden']);
    cases.push([viewer, event, { ttyId }, 'forbidden']);
    for (const id of [
      `${containerId}.${randomUUID()}`,
      `${randomUUID()}.${randomUUID()}`,
      'x',
      '..',
      '',
      `${ttyId}.x`,
    ]) {
      cases.push([owner, event, { ttyId: id }, 'not_found']);
    }
  }
  for (const event of ['tty:data', 'tty:resize', 'tty:detach']) {
    const more = { 'tty:data': { bytes: Buffer.from('x') }, 'tty:resize': size }[event] ?? {};
    cases.push([bob, event, { ttyId, ...more }, 'not_found']);
  }
  cases.push([owner, 'tty:data', { ttyId, bytes: 'text' }, 'bad_request']);
  cases.push([owner, 'tty:data', { ttyId, offset: 1, bytes: Buffer.from('x') }, 'conflict']);
  for (const [socket, event, argument, code] of cases) {
    const answer = await ask(socket, event, argument);
    expect([event, argument, answer]).toEqual([
      event,
      argument,
      { ok: false, code, message: expect.any(String) },
    ]);
  }
});

test('a container has a bounded number of terminals', async () => {
  const socket = await client();
  const terminals = await Promise.all(Array.from({ length: 8 }, () => open(socket)));
  const size = { cols: 80, rows: 24 };
  const ninth = () => ask(socket, 'tty:open', { containerId: desktop.containerId, ...size, cmd: ['sh'] });
  expect(await ninth()).toMatchObject({ ok: false, code: 'quota_exceeded' });
  await ask(socket, 'tty:close', { ttyId: terminals[0]?.ttyId ?? '' });
  const answer = await ninth();
  expect(answer).toMatchObject({ ok: true });
  await ask(socket, 'tty:close', { ttyId: answer.ttyId });
});

test('a worker’s restart ends no terminal, and its attachments continue where they were', async () => {
  const socket = await client();
  const script =
    'stty raw -echo; i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; cat';
  const { ttyId, output } = await open(socket, ['sh', '-c', script]);
  const mine = connect({ url, token: () => ticket(desktop.userId, { mode: 'control' }) });
  ends.push(() => mine.close());
  const own = await attachTerminal(mine, { ttyId });
  const chunks: Buffer[] = [];
  const reading = own.readable.pipeTo(
    new WritableStream({ write: (bytes) => void chunks.push(Buffer.from(bytes)) }),
  );
  await output.has('line 20\n');
  await worker.stop();
  worker = await fleet.worker('a');
  await output.has('line 400\n');
  const lines = Array.from({ length: 400 }, (_, i) => `line ${i + 1}\n`).join('');
  expect(output.bytes.toString()).toBe(lines);
  await waitFor('all lines', () => Buffer.concat(chunks).toString() === lines);
  await waitFor(
    'input',
    async () => (await ask(socket, 'tty:data', { ttyId, bytes: Buffer.from('again') })).ok,
  );
  await output.has('again');
  await own.close();
  expect(await output.ended()).toMatchObject({ code: null });
  await reading;
  expect(await own.exited).toEqual(output.exit);
}, 60_000);

test('the client opens a terminal as a pair of streams, with a signal and typed errors', async () => {
  const mine = connect({ url, token: () => ticket(desktop.userId, { mode: 'control' }) });
  ends.push(() => mine.close());
  const { containerId } = desktop;
  const container = new ContainerClient(containerId, { relay: async () => mine } as ContainerAccess);
  const terminal = await container.terminal({ cols: 90, rows: 20, cmd: ['sh'] });
  const writer = terminal.writable.getWriter();
  terminal.resize({ cols: 91, rows: 21 });
  await writer.write(Buffer.from('stty size; exit 4\n'));
  let text = '';
  for await (const bytes of terminal.readable) text += Buffer.from(bytes).toString();
  expect(text).toContain('21 91');
  expect(await terminal.exited).toEqual({ code: 4 });
  expect(terminal.offset).toBe(Buffer.byteLength(text));

  const controller = new AbortController();
  const { signal } = controller;
  const second = await container.terminal({ cols: 80, rows: 24, cmd: ['sh'], signal });
  const reason = new Error('no longer wanted');
  controller.abort(reason);
  await expect(second.exited).rejects.toBe(reason);
  await expect(second.readable.getReader().read()).rejects.toBe(reason);
  const again = await container.attachTerminal({ ttyId: second.ttyId });
  await again.close();
  expect(await again.exited).toMatchObject({ code: null });
  const unknown = container.attachTerminal({ ttyId: `${containerId}.${randomUUID()}` });
  await expect(unknown).rejects.toMatchObject({ name: 'TerminalError', code: 'not_found' });
  await expect(container.terminal({ cols: 80, rows: 24, signal })).rejects.toBe(reason);
});
