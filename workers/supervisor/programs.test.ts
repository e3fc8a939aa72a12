import { createHash, randomBytes } from 'node:crypto';
import { newId } from '@warmwind/shared/contract/ids';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { startTestDesktop, type TestDesktop } from '../testing/desktop.ts';
import type { ProcessRequest, StreamName } from './process.ts';

const BUFFER_BYTES = 256 * 1024;
let desktop: TestDesktop;

beforeAll(async () => {
  desktop = await startTestDesktop();
}, ENGINE_WITHIN_MS);
afterAll(() => desktop?.remove());

const sh = (command: string): string[] => ['sh', '-c', command];

/** Starts a program under an id of its own. */
async function start(request: ProcessRequest): Promise<string> {
  return (await desktop.supervisor.start(newId(), request)).id;
}

/** Reads an output to its end and acknowledges all of it. */
async function read(id: string, stream: StreamName = 'stdout'): Promise<Buffer> {
  const { supervisor } = desktop;
  const { body } = await supervisor.output(id, stream);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    await supervisor.acknowledge(id, { stdout: 0, stderr: 0, [stream]: size });
  }
  return Buffer.concat(chunks);
}

/** Runs a program to its end. */
async function run(request: ProcessRequest) {
  const id = await start(request);
  const [stdout, stderr, ended] = await Promise.all([
    read(id),
    read(id, 'stderr'),
    desktop.supervisor.wait(id),
  ]);
  await desktop.supervisor.end(id, { forget: true });
  return { ...ended, stdout: stdout.toString(), stderr: stderr.toString(), bytes: stdout };
}

const isRunning = async (marker: string) => (await desktop.inside(`pgrep -fc '^sleep ${marker}$'`)) !== '0';

test('a program has the desktop’s user, home, display and environment, and the request’s variables and folder', async () => {
  const home = await run({
    cmd: sh('id -un; pwd; echo $HOME $DISPLAY; xkbcomp $DISPLAY - >/dev/null && echo shown'),
  });
  expect(home.stdout).toBe('user\n/home/user\n/home/user :0\nshown\n');
  const other = await run({ cmd: sh('pwd; echo "$GREETING"'), cwd: '/tmp', env: { GREETING: 'héllo\n' } });
  expect(other).toMatchObject({ exitCode: 0, state: 'ended', stdout: '/tmp\nhéllo\n\n' });
});

test('input, outputs, exit code and signal arrive as they are', async () => {
  const bytes = randomBytes(60_000);
  const script = 'cat; echo failed > /dev/stderr; exit 7';
  const result = await run({ cmd: sh(script), stdin: bytes });
  expect(result.bytes.equals(bytes)).toBe(true);
  expect(result).toMatchObject({ stderr: 'failed\n', exitCode: 7 });
  expect(await run({ cmd: sh('kill -USR1 $$') })).toMatchObject({ signal: 'SIGUSR1' });
  expect((await run({ cmd: sh('cat | wc -c') })).stdout.trim()).toBe('0');
});

test('10 MB of random bytes arrive complete, and the program waits while they are not acknowledged', async () => {
  const make = 'head -c 10000000 /dev/urandom > /tmp/random; sha256sum < /tmp/random >&2; cat /tmp/random';
  const id = await start({ cmd: sh(make) });
  const { supervisor } = desktop;
  const full = async () => (await supervisor.get(id)).stdout.to === BUFFER_BYTES;
  await waitFor('a full buffer', full);
  expect(await supervisor.get(id)).toMatchObject({ state: 'running', stdout: { from: 0, to: BUFFER_BYTES } });
  const bytes = await read(id);
  const [sum] = (await read(id, 'stderr')).toString().split(' ');
  expect(bytes.length).toBe(10_000_000);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(sum);
});

test('an output is read again from any offset that was not acknowledged', async () => {
  const id = await start({ cmd: ['printf', '0123456789'] });
  const { supervisor } = desktop;
  await supervisor.wait(id);
  await waitFor('the output', async () => (await supervisor.get(id)).stdout.to === 10);
  await supervisor.acknowledge(id, { stdout: 4, stderr: 0 });
  const { offset, body } = await supervisor.output(id, 'stdout', { after: 6 });
  expect([offset, (await body.toArray()).join('')]).toEqual([6, '6789']);
  await expect(supervisor.output(id, 'stdout', { after: 3 })).rejects.toMatchObject({ code: 'offset_gone' });
  await expect(supervisor.output(id, 'stdout', { after: 11 })).rejects.toMatchObject({
    code: 'offset_ahead',
  });
  await expect(supervisor.acknowledge(id, { stdout: 11, stderr: 0 })).rejects.toMatchObject({
    code: 'offset_ahead',
  });
});

test('an id starts one program, also when it is asked for twice at once, and never again', async () => {
  const id = newId();
  const cmd = sh('echo x >> /tmp/once');
  const { supervisor } = desktop;
  const [a, b] = await Promise.all([supervisor.start(id, { cmd }), supervisor.start(id, { cmd })]);
  expect(a.pid).toBe(b.pid);
  await supervisor.wait(id);
  await supervisor.end(id, { forget: true });
  await expect(supervisor.start(id, { cmd })).rejects.toMatchObject({ code: 'forgotten', status: 410 });
  await expect(supervisor.get(id)).rejects.toMatchObject({ code: 'no_such_process', status: 404 });
  expect(await desktop.inside('cat /tmp/once')).toBe('x');
});

test.each([
  ['not_found', { cmd: ['no-such-program'] }],
  ['not_found', { cmd: ['./nope'] }],
  ['not_executable', { cmd: ['/etc/passwd'] }],
  ['invalid_cwd', { cmd: ['true'], cwd: '/no/such/folder' }],
  ['invalid_cwd', { cmd: ['true'], cwd: '/etc/passwd' }],
  ['bad_request', { cmd: [] }],
  ['bad_request', { cmd: ['true'], cwd: 'relative' }],
  ['bad_request', { cmd: ['a\0b'] }],
  ['bad_request', { cmd: ['true'], env: { 'A=B': 'c' } }],
  ['bad_request', { cmd: ['true'], tty: { cols: 0, rows: 24 } }],
  ['bad_request', { cmd: ['true'], timeoutMs: -1 }],
  ['bad_request', { cmd: ['true'], stdin: Buffer.alloc(65_537) }],
])('a request that can’t be carried out is refused with %s', async (code, request) => {
  await expect(start(request)).rejects.toMatchObject({ code });
});

test('a program’s end takes every descendant with it: sessions of their own, orphans, those that ignore SIGTERM', async () => {
  const family = `trap '' TERM
    setsid sleep 1001 &
    (setsid sh -c 'sleep 1002 & exec sleep 1003' &) &
    (trap '' TERM HUP INT; sleep 1004 & wait) &
    sleep 1005`;
  const id = await start({ cmd: sh(family) });
  for (const marker of ['1001', '1002', '1003', '1004', '1005']) {
    await waitFor(`sleep ${marker}`, () => isRunning(marker));
  }
  const ended = await desktop.supervisor.end(id);
  expect(ended).toMatchObject({ state: 'ended', signal: 'SIGKILL' });
  expect(await desktop.inside("pgrep -f '^sleep 100' | wc -l")).toBe('0');
});

test('a time-out ends the program and its descendants, and is reported', async () => {
  const result = await run({ cmd: sh('setsid sleep 1010 & sleep 1010'), timeoutMs: 300 });
  expect(result).toMatchObject({ signal: 'SIGKILL', timedOut: true });
  expect(await isRunning('1010')).toBe(false);
});

test('a daemon that keeps the output open delays neither the exit nor the end of the output, and runs on until it is ended', async () => {
  const id = await start({ cmd: sh('sleep 1020 & echo done; exit 5') });
  expect(await desktop.supervisor.wait(id)).toMatchObject({ exitCode: 5 });
  expect((await read(id)).toString()).toBe('done\n');
  expect(await isRunning('1020')).toBe(true);
  await desktop.supervisor.end(id);
  expect(await isRunning('1020')).toBe(false);
});

test('the record of an ended program is dropped without its daemons, which then write to no one and live', async () => {
  const daemon =
    'setsid sh -c "while sleep 0.05; do echo x; done & echo \\$! > /tmp/daemon; exec sleep 1030"';
  const id = await start({ cmd: sh(`${daemon} & sleep 0.2`) });
  await desktop.supervisor.wait(id);
  await desktop.supervisor.end(id, { forget: true });
  const adopted = async () =>
    (await desktop.inside("ps -o ppid= -p $(pgrep -f '^sleep 1030$')")).trim() === '1';
  await waitFor('PID 1 to adopt it', adopted);
  expect(await desktop.inside('kill -0 $(cat /tmp/daemon) && echo lives')).toBe('lives');
  await desktop.inside("kill $(cat /tmp/daemon); pkill -f '^sleep 1030$'");
});

test('a program in the background never waits for its output, of which the end is kept', async () => {
  const id = await start({ cmd: sh('head -c 1000000 /dev/zero; echo end'), background: true });
  expect(await desktop.supervisor.wait(id)).toMatchObject({ exitCode: 0 });
  await waitFor('all of it', async () => (await desktop.supervisor.get(id)).stdout.to === 1_000_004);
  const { offset, body } = await desktop.supervisor.output(id, 'stdout', { after: 0 });
  expect(offset).toBe(1_000_004 - BUFFER_BYTES);
  expect((await body.toArray()).join('').endsWith('\0end\n')).toBe(true);
});

test('a program that forks until the container is full is ended, and others start again', async () => {
  // All of them fork, and try again when they can't.
  const bomb = 'for (;;) { fork // select(undef, undef, undef, 0.2) }';
  const id = await start({ cmd: ['perl', '-e', bomb], background: true });
  const isFull = async () => {
    const { Processes } = await desktop.container.top({ ps_args: '-eLo pid,uid' });
    return (Processes as string[][]).filter(([, uid]) => uid === String(desktop.uid)).length >= 256;
  };
  await waitFor('a full container', isFull, 60_000);
  // The kernel lets the first one more in.
  const more: string[] = [];
  const startMore = async () => {
    for (let count = 0; count < 10; count++) more.push(await start({ cmd: ['sleep', '1050'] }));
  };
  await expect(startMore()).rejects.toMatchObject({ code: 'no_processes', status: 503 });
  expect(await desktop.supervisor.health()).toEqual({ version: 2 });
  for (const one of more) await desktop.supervisor.end(one, { forget: true });
  await desktop.supervisor.end(id);
  expect(await run({ cmd: ['echo', 'fine'] })).toMatchObject({ stdout: 'fine\n' });
  expect(await desktop.inside('pgrep perl | wc -l')).toBe('0');
}, 90_000);

test('32 programs run at once; 64 records are kept, and those of ended programs make room for others', async () => {
  const { supervisor } = desktop;
  for (const { id } of await supervisor.list()) await supervisor.end(id, { forget: true });
  const first = await start({ cmd: sh('sleep 1040 & exit') });
  await supervisor.wait(first);
  const running = await Promise.all(Array.from({ length: 31 }, () => start({ cmd: ['sleep', '1041'] })));
  // The program that ended keeps its place while its daemon runs, until another needs it.
  running.push(await start({ cmd: ['sleep', '1041'] }));
  await expect(supervisor.get(first)).rejects.toMatchObject({ code: 'no_such_process' });
  expect(await isRunning('1040')).toBe(true);
  await expect(start({ cmd: ['true'] })).rejects.toMatchObject({ code: 'too_many_processes', status: 429 });
  await supervisor.end(running.pop() ?? '');
  for (let count = 0; count < 40; count++) await supervisor.wait(await start({ cmd: ['true'] }));
  const all = await supervisor.list();
  expect(all.length).toBeLessThanOrEqual(64);
  expect(all.filter(({ state }) => state === 'running').length).toBe(31);
  for (const id of running) await supervisor.end(id, { forget: true });
  await desktop.inside("pkill -f '^sleep 1040$'");
}, 60_000);
