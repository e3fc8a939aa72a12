import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { getPriority } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { Sandbox, type SandboxOptions } from './sandbox.ts';

const MODULE = new URL('../testing/sandboxed.ts', import.meta.url);
const sandboxes: Sandbox[] = [];
afterEach(() => Promise.all(sandboxes.splice(0).map((sandbox) => sandbox.close())));

const create = (more: Partial<SandboxOptions> = {}): Sandbox => {
  const sandbox = new Sandbox({ module: MODULE, reads: [], memoryMb: 64, size: 2, ...more });
  sandboxes.push(sandbox);
  return sandbox;
};

/** Starts a job in the sandbox. @returns its end, a way to stop it, and a promise of its beginning */
const begin = (sandbox: Sandbox, what: object) => {
  const stop = new AbortController();
  let begun = false;
  const end = sandbox.run(what, stop.signal, () => {
    begun = true;
  });
  end.catch(() => undefined);
  return { end, stop, begins: () => waitFor('the job to begin', () => begun) };
};

const pidOf = async (sandbox: Sandbox): Promise<number> =>
  ((await begin(sandbox, { do: 'answer' }).end) as { pid: number }).pid;

/** Checks that a process runs and is no zombie. */
const lives = (pid: number): boolean => existsSync(`/proc/${pid}/fd/0`);

test('a fork has a lower priority than other processes of the machine', async () => {
  const pid = await pidOf(create());
  expect(getPriority(pid)).toBe(10);
  // With autogroups the kernel schedules by the group's priority.
  const group = await readFile(`/proc/${pid}/autogroup`, 'utf8').catch(() => ' nice 10\n');
  expect(group).toMatch(/ nice 10\n$/);
});

test.each(['heap', 'buffers'])('a job that takes too much memory (%s) fails alone', async (what) => {
  const sandbox = create();
  const neighbour = begin(sandbox, { do: 'wait' });
  await neighbour.begins();
  await expect(begin(sandbox, { do: what }).end).rejects.toMatchObject({ code: 'out_of_memory' });
  expect(await pidOf(sandbox)).toBeGreaterThan(0);
  expect(await Promise.race([neighbour.end.then(String, String), 'running'])).toBe('running');
});

test('without prlimit a watch enforces the memory bound', async () => {
  const { PATH } = process.env;
  const sandbox = create();
  // Hides prlimit from the worker; the fork has its own PATH.
  process.env.PATH = '/nonexistent';
  try {
    await expect(begin(sandbox, { do: 'buffers' }).end).rejects.toMatchObject({ code: 'out_of_memory' });
  } finally {
    process.env.PATH = PATH;
  }
});

test('a fork that dies fails only its own job, with a retryable error', async () => {
  const sandbox = create({ size: 1 });
  await expect(begin(sandbox, { do: 'die' }).end).rejects.toMatchObject({ code: 'sandbox_crashed' });
  expect(await pidOf(sandbox)).toBeGreaterThan(0);
});

test('a fork is kept for the next job; if it fails there, the job runs again in a fresh fork', async () => {
  const sandbox = create({ size: 1 });
  const first = await pidOf(sandbox);
  expect(await begin(sandbox, { do: 'keep' }).end).toEqual({ pid: first });
  const second = (await begin(sandbox, { do: 'keep' }).end) as { pid: number };
  expect(second.pid).not.toBe(first);
  process.kill(second.pid, 'SIGKILL');
  expect(await pidOf(sandbox)).not.toBe(second.pid);
});

test('forks are bounded by size, and a job that waits for one can be aborted', async () => {
  const sandbox = create({ size: 1 });
  const first = begin(sandbox, { do: 'wait' });
  await first.begins();
  const left = begin(sandbox, { do: 'answer' });
  const next = begin(sandbox, { do: 'answer' });
  left.stop.abort('left');
  await expect(left.end).rejects.toBe('left');
  first.stop.abort('stopped');
  await expect(first.end).rejects.toBeDefined();
  expect(await next.end).toMatchObject({ pid: expect.any(Number) });
});

test('an abort kills the fork at once, even one that hangs', async () => {
  const sandbox = create({ size: 1 });
  const pid = await pidOf(sandbox);
  const job = begin(sandbox, { do: 'hang' });
  await job.begins();
  job.stop.abort('cancelled');
  await expect(job.end).rejects.toBeDefined();
  expect(lives(pid)).toBe(false);
});

test('a fork has no environment, and cannot read or write files, open sockets or start processes', async () => {
  process.env.SANDBOX_TEST_SECRET = 'secret';
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const denied = 'ERR_ACCESS_DENIED';
  expect(await begin(create(), { do: 'reach', port }).end).toEqual({
    environment: ['PATH'],
    read: denied,
    write: denied,
    environ: denied,
    start: denied,
    network: denied,
  });
  server.close();
  delete process.env.SANDBOX_TEST_SECRET;
});

test.each(['hang', 'wait', 'answer'])('a fork is gone when its worker is killed (%s)', async (what) => {
  const program = `
    import { Sandbox } from '${new URL('./sandbox.ts', import.meta.url)}';
    const o = { module: new URL('${MODULE}'), reads: [], memoryMb: 64, size: 1 };
    const sandbox = new Sandbox(o);
    const { signal } = new AbortController();
    const { pid } = await sandbox.run({ do: 'answer' }, signal, () => {});
    sandbox.run({ do: '${what}' }, signal, () => console.log(pid));
    setInterval(() => {}, 1000);
  `;
  const worker = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  worker.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const pid = Number(await waitFor('the fork to be at work', () => /^(\d+)\n/.exec(text)?.[1]));
  expect(lives(pid)).toBe(true);
  worker.kill('SIGKILL');
  await waitFor('the fork to be gone', () => !lives(pid));
});
