import { newId } from '@warmwind/shared/contract/ids';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { MAX_TERMINALS } from '../containers/terminals.ts';
import { startTestDesktop, type TestDesktop } from '../testing/desktop.ts';
import type { AttachedTerminal } from './client.ts';

const BUFFER_BYTES = 256 * 1024;
let desktop: TestDesktop;

beforeAll(async () => {
  desktop = await startTestDesktop();
}, ENGINE_WITHIN_MS);
afterAll(() => desktop?.remove());

const open = async (command: string, tty = { cols: 80, rows: 24 }) =>
  (await desktop.supervisor.start(newId(), { cmd: ['sh', '-c', command], tty })).id;

/** Collects what an attached terminal shows. */
function collect({ socket }: AttachedTerminal) {
  const shown = { text: '', isClosed: false };
  socket.on('data', (chunk: Buffer) => {
    shown.text += chunk.toString('latin1');
  });
  socket.on('close', () => {
    shown.isClosed = true;
  });
  return shown;
}

test('a program has a terminal of its own of the given size, which a resize changes and signals', async () => {
  const script = 'tty; stty size; test -w "$(tty)" && echo mine; trap "stty size; exit 4" WINCH; read line';
  const id = await open(script, { cols: 91, rows: 17 });
  const shown = collect(await desktop.supervisor.attach(id));
  await waitFor('the terminal', () => shown.text.includes('mine'));
  expect(shown.text).toMatch(/^\/dev\/pts\/\d+\r\n17 91\r\nmine\r\n$/);
  await desktop.supervisor.resize(id, { cols: 120, rows: 40 });
  expect(await desktop.supervisor.wait(id)).toMatchObject({ exitCode: 4, tty: true });
  await waitFor('its end', () => shown.isClosed);
  expect(shown.text).toContain('40 120');
});

test('what is typed arrives as bytes, control characters act, and the connection ends with the program', async () => {
  const id = await open(
    'stty -echo; echo ready; read line; echo "got $line"; trap "echo interrupted; exit 9" INT; cat',
  );
  const terminal = await desktop.supervisor.attach(id);
  const shown = collect(terminal);
  await waitFor('the program', () => shown.text.includes('ready'));
  terminal.socket.write('grüße\n');
  await waitFor('the line', () => shown.text.includes(Buffer.from('got grüße').toString('latin1')));
  terminal.socket.write('\x03');
  await waitFor('its end', () => shown.isClosed);
  expect(shown.text).toContain('interrupted');
  expect(await desktop.supervisor.wait(id)).toMatchObject({ exitCode: 9 });
});

test('a terminal goes on without a reader, and is attached again at an offset of the last 256 KiB', async () => {
  const { supervisor } = desktop;
  const id = await open('stty -onlcr; head -c 1000000 /dev/zero | tr "\\0" x; printf end; read line');
  const to = async () => (await supervisor.get(id)).stdout.to === 1_000_003;
  await waitFor('all of it', to);
  const first = await supervisor.attach(id, { after: 0 });
  expect(first.offset).toBe(1_000_003 - BUFFER_BYTES);
  const shown = collect(first);
  await waitFor('the scroll-back', () => shown.text.length === BUFFER_BYTES);
  first.socket.destroy();
  const again = await supervisor.attach(id, { after: 1_000_000 });
  expect(again.offset).toBe(1_000_000);
  const rest = collect(again);
  await waitFor('the end', () => rest.text === 'end');
  again.socket.destroy();
  expect(await supervisor.get(id)).toMatchObject({ state: 'running' });
  await supervisor.end(id);
});

test('two that are attached see the same, and the ninth connection ends the first', async () => {
  const { supervisor } = desktop;
  const id = await open('stty -echo; while read line; do echo "<$line>"; done');
  const first = await supervisor.attach(id);
  const others = await Promise.all(Array.from({ length: 7 }, () => supervisor.attach(id)));
  const [a, b] = [first, others[0] as AttachedTerminal].map(collect);
  others[1]?.socket.write('hello\n');
  await waitFor('both', () => a?.text.includes('<hello>') && b?.text.includes('<hello>'));
  const ninth = await supervisor.attach(id);
  await waitFor('the end of the first', () => a?.isClosed);
  expect(b?.isClosed).toBe(false);
  for (const { socket } of [...others, ninth]) socket.destroy();
  await supervisor.end(id);
});

test('a program that never reads neither blocks others nor keeps its connections from ending', async () => {
  const { supervisor } = desktop;
  const id = await open('stty raw -echo; sleep 600');
  const terminal = await supervisor.attach(id);
  for (let sent = 0; sent < 40; sent++) terminal.socket.write(Buffer.alloc(64 * 1024, 'x'));
  expect(await supervisor.get(id)).toMatchObject({ state: 'running' });
  const closed = new Promise((resolve) => terminal.socket.once('close', resolve));
  terminal.socket.on('error', () => undefined).resume();
  await supervisor.end(id);
  await closed;
});

test('terminals run out for one desktop with an error that says so, and come back', async () => {
  const { supervisor } = desktop;
  const ids: string[] = [];
  const openAll = async () => {
    for (let count = 0; count <= MAX_TERMINALS; count++) ids.push(await open('sleep 600'));
  };
  await expect(openAll()).rejects.toMatchObject({ code: 'no_terminals' });
  expect(ids.length).toBeGreaterThan(10);
  await Promise.all(ids.map((id) => supervisor.end(id, { forget: true })));
  await supervisor.end(await open('true'));
});

test('a process without a terminal can’t be attached to or resized', async () => {
  const { supervisor } = desktop;
  const { id } = await supervisor.start(newId(), { cmd: ['sleep', '600'] });
  await expect(supervisor.attach(id)).rejects.toMatchObject({ code: 'bad_request', status: 400 });
  await expect(supervisor.resize(id, { cols: 80, rows: 24 })).rejects.toMatchObject({ code: 'bad_request' });
  await supervisor.end(id);
});
