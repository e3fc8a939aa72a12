import type { CallCommand } from '@warmwind/shared/contract/command';
import { containerEndProcess } from '@warmwind/shared/contract/commands/container-end-process';
import { containerProcesses, Processes } from '@warmwind/shared/contract/commands/container-processes';
import type { Job } from '@warmwind/shared/contract/jobs';
import type { ExecRequest, ProgramResult } from '@warmwind/shared/contract/programs';
import type { Caller } from '@warmwind/shared/engine/node/caller';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { plannedRandom } from '../../infra/quality/testing/random.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createTestCaller } from '../testing/caller.ts';
import { createFleet, type Fleet, reached, types, type Worker, waitForEvents } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';
import { MOST_PROGRAMS } from './slots.ts';
import { outputOf } from './testing/output.ts';

let fleet: Fleet;
let worker: Worker;
let desktop: Submitted;
let caller: Caller;
let closeCaller: () => Promise<void>;

beforeAll(async () => {
  fleet = await createFleet();
  ({ caller, close: closeCaller } = await createTestCaller(fleet.realtime.url));
  worker = await fleet.worker('a');
  desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await closeCaller?.();
  await fleet?.stop();
});

type Request = z.input<typeof ExecRequest>;
const exec = async (request: Request) => ({ ...(await fleet.exec(desktop, request)), cmd: request.cmd });
const sh = (script: string) => ['sh', '-c', script];
/** Runs a program to its end. */
async function run(cmd: string[], more: Omit<Request, 'cmd'> = {}): Promise<ProgramResult> {
  const job = await exec({ cmd, ...more });
  return (await reached(fleet, job, 'completed')).result as ProgramResult;
}
const failed = async (request: Request): Promise<Job> => reached(fleet, await exec(request), 'failed');
/** The number of processes inside whose command line has this text. */
const counted = async (text: string): Promise<number> => {
  const pattern = `[${text.slice(0, 1)}]${text.slice(1)}`;
  return Number((await run(sh(`grep -sla '${pattern}' /proc/[0-9]*/cmdline | wc -l`))).stdout);
};
const eventsOf = (job: Submitted) => fleet.events(job.userId, `job:${job.jobId}`);
const started = (text: string) => waitFor(`${text} to run`, async () => (await counted(text)) > 0);
const gone = (text: string) => waitFor(`${text} to be gone`, async () => (await counted(text)) === 0);

test('a program has its input, environment and directory, and its result has its exit code and output', async () => {
  const more = { stdin: 'Grüße\n', cwd: '/tmp', env: { NAME: 'a b' } };
  expect(await run(sh('cat; pwd; echo "$NAME $HOME" >&2; exit 3'), more)).toEqual({
    exitCode: 3,
    stdout: 'Grüße\n/tmp\n',
    stderr: 'a b /home/user\n',
    truncated: false,
  });
  expect(await run(sh('pwd; kill -TERM $$'))).toEqual({
    exitCode: null,
    signal: 'SIGTERM',
    stdout: '/home/user\n',
    stderr: '',
    truncated: false,
  });
  expect(await run(sh("printf '\\377'"))).toMatchObject({ stdout: '/w==', stdoutEncoding: 'base64' });
});

test('bytes of any value on both streams are published as they were written, and the result has the last ones', async () => {
  const random = plannedRandom();
  const block = Buffer.from(Array.from({ length: 45_000 }, () => random.int(0, 255)));
  const all = Buffer.concat(Array(7).fill(block));
  const script =
    'base64 -d > /tmp/block; all() { for i in 1 2 3 4 5 6 7; do cat /tmp/block; done; }; all & all >&2; wait';
  const job = await exec({ cmd: sh(script), stdin: block.toString('base64') });
  const { result } = await reached(fleet, job, 'completed');
  const events = await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.completed');
  for (const stream of ['stdout', 'stderr'] as const) {
    expect(outputOf(events, stream).equals(all)).toBe(true);
    expect(Buffer.from((result as ProgramResult)[stream], 'base64').equals(all.subarray(-65_536))).toBe(true);
  }
  expect(result).toMatchObject({
    exitCode: 0,
    stdoutEncoding: 'base64',
    stderrEncoding: 'base64',
    truncated: true,
  });
});

test('text is published as text, however its program divides it', async () => {
  const text = 'aé€𝄞 '.repeat(300);
  const script = `for i in $(seq 1 ${Buffer.byteLength(text)}); do dd bs=1 count=1 status=none; done`;
  const job = await exec({ cmd: sh(script), stdin: text });
  expect((await reached(fleet, job, 'completed')).result).toMatchObject({ stdout: text, truncated: false });
  const events = await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.completed');
  const pieces = events.flatMap(({ type, data }) => (type === 'job.output' ? [data] : []));
  expect(pieces.map((piece) => ('text' in piece ? piece.text : piece)).join('')).toBe(text);
  expect(pieces.length).toBeGreaterThan(1);
});

test('a program that can not be started fails with the reason', async () => {
  const codeOf = async (request: Request) => (await failed(request)).error;
  expect(await codeOf({ cmd: ['no-such-program'] })).toMatchObject({
    code: 'program_not_found',
    retryable: false,
  });
  expect(await codeOf({ cmd: ['/etc/passwd'] })).toMatchObject({ code: 'program_not_found' });
  expect(await codeOf({ cmd: ['true'], cwd: '/no/such/directory' })).toMatchObject({
    code: 'directory_not_found',
  });
});

test('a cancelled program ends with every process that it started, those in sessions of their own included', async () => {
  const job = await exec({
    cmd: sh(
      'setsid -f sleep 4001; (setsid sh -c "trap : TERM; while :; do sleep 4002; done" &) ; sleep 4003',
    ),
  });
  for (const text of ['4001', '4002', '4003']) await started(`sleep.${text}`);
  await fleet.cancel(job);
  for (const text of ['4001', '4002', '4003']) await gone(`sleep.${text}`);
  expect(await fleet.job(job)).toMatchObject({ state: 'cancelled' });
});

test('a program that runs for too long ends, is not tried again, and what it wrote is published', async () => {
  const job = await exec({ cmd: sh('echo before; setsid -f sleep 4004; exec sleep 4005'), timeoutMs: 1000 });
  expect(await reached(fleet, job, 'timed_out')).toMatchObject({
    error: { code: 'timed_out' },
    attemptsMade: 1,
  });
  for (const text of ['4004', '4005']) await gone(`sleep.${text}`);
  const events = await eventsOf(job);
  expect(outputOf(events, 'stdout').toString()).toBe('before\n');
  expect(types(events).at(-1)).toBe('job.timed_out');
});

test('programs that run delay neither the programs of others nor the start and stop of desktops', async () => {
  const sleepers = await Promise.all(Array.from({ length: 6 }, () => exec({ cmd: ['sleep', '4006'] })));
  for (const job of sleepers) await reached(fleet, job, 'active');
  const other = await fleet.startDesktop({}, desktop.userId);
  await reached(fleet, other, 'completed');
  const inside = await fleet.exec(other, { cmd: ['sleep', '4007'] });
  await reached(fleet, inside, 'active');
  expect((await run(['echo', 'in time'])).stdout).toBe('in time\n');
  await reached(fleet, await fleet.stopDesktop(other), 'completed');
  expect(await reached(fleet, inside, 'failed')).toMatchObject({ error: { code: 'desktop_ended' } });
  for (const job of sleepers) await fleet.cancel(job);
  await gone('sleep.4006');
});

/** Sends a call to the desktop's host, as a relay does. */
async function call(command: CallCommand, input: object): Promise<unknown> {
  const { userId, containerId } = desktop;
  const { incarnation = 0 } = (await fleet.container(desktop)) ?? {};
  const answer = await caller.call({
    command,
    userId,
    containerId,
    incarnation,
    credential: 'token:t',
    input,
  });
  return JSON.parse(answer.bytes.toString());
}
const processes = async () => Processes.parse(await call(containerProcesses, {})).items;

test('processes are listed, and one is ended with all that it started', async () => {
  const job = await exec({ cmd: sh('setsid -f sleep 4010; exec sleep 4011') });
  await started('sleep.4010');
  await started('sleep.4011');
  const listed = (await processes()).find(({ id }) => id === job.jobId);
  expect(listed).toMatchObject({ cmd: job.cmd, state: 'running', tty: false, background: false });
  expect(await call(containerEndProcess, { processId: job.jobId })).toEqual({ processId: job.jobId });
  await gone('sleep.4010');
  expect((await reached(fleet, job, 'completed')).result).toMatchObject({
    exitCode: null,
    signal: 'SIGKILL',
  });
  await waitFor('its record to be dropped', async () =>
    (await processes()).every(({ id }) => id !== job.jobId),
  );
  await expect(call(containerEndProcess, { processId: 'unknown' })).rejects.toMatchObject({
    code: 'not_found',
  });
});

test('a program beyond the bound of its desktop waits, says so, and runs once another has ended', async () => {
  const running = await Promise.all(
    Array.from({ length: MOST_PROGRAMS }, () => exec({ cmd: ['sleep', '4012'] })),
  );
  for (const job of running) await reached(fleet, job, 'active');
  const job = await exec({ cmd: ['echo', 'later'] });
  const message = `waits: ${MOST_PROGRAMS} programs run in this desktop`;
  await waitFor('the reason', async () =>
    (await eventsOf(job)).some(({ type, data }) => type === 'job.progress' && data.message === message),
  );
  expect((await fleet.job(job))?.state).not.toBe('completed');
  for (const each of running) await fleet.cancel(each);
  expect(await reached(fleet, job, 'completed')).toMatchObject({
    attemptsMade: 1,
    result: { stdout: 'later\n' },
  });
  await gone('sleep.4012');
});

test('a program in the background outlives its job', async () => {
  const job = await exec({ cmd: ['sleep', '4008'], background: true });
  const { result } = await reached(fleet, job, 'completed');
  expect(result).toEqual({ processId: job.jobId });
  await started('sleep.4008');
  await worker.sweep();
  expect(await counted('sleep.4008')).toBe(1);
});

test('a program continues while its worker is replaced, and no byte of it is lost or published twice', async () => {
  const script = 'for i in $(seq 1 200); do echo "line $i ééé"; sleep 0.01; done; echo run >> /tmp/runs';
  const job = await exec({ cmd: sh(script) });
  await waitFor('some output', async () => outputOf(await eventsOf(job), 'stdout').length > 300);
  await worker.stop();
  worker = await fleet.worker('a');
  const { result, attemptsMade } = await reached(fleet, job, 'completed');
  const lines = Array.from({ length: 200 }, (_, i) => `line ${i + 1} ééé\n`).join('');
  expect(result).toMatchObject({ exitCode: 0, stdout: lines, truncated: false });
  expect(attemptsMade).toBe(1);
  const events = await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.completed');
  expect(outputOf(events, 'stdout').toString()).toBe(lines);
  expect(types(events).filter((type) => type === 'job.active').length).toBeGreaterThan(1);
  expect((await run(['cat', '/tmp/runs'])).stdout).toBe('run\n');
});

test('a program whose worker is replaced and whose events are lost ends with the last of its output', async () => {
  const script = 'seq 1 50000; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo end';
  const job = await exec({ cmd: sh(script) });
  const all = Array.from({ length: 50_000 }, (_, i) => `${i + 1}\n`).join('');
  await waitFor('its output', async () => outputOf(await eventsOf(job), 'stdout').length === all.length);
  await worker.stop();
  await fleet.realtime.client.flushall();
  worker = await fleet.worker('a');
  await run(['touch', '/tmp/go']);
  const { result } = await reached(fleet, job, 'completed');
  expect(result).toMatchObject({ exitCode: 0, stdout: `${all}end\n`.slice(-65_536), truncated: true });
});

test('a program that is cancelled while no worker follows it ends once one does', async () => {
  const job = await exec({ cmd: ['sleep', '4009'] });
  await started('sleep.4009');
  await worker.stop();
  await fleet.cancel(job);
  worker = await fleet.worker('a');
  await gone('sleep.4009');
  expect(await fleet.job(job)).toMatchObject({ state: 'cancelled' });
});
