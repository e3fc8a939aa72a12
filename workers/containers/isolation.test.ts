import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asDesktop, ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';
import { LABELS } from './spec.ts';

let fleet: Fleet;
let greedy: Docker.Container;
let other: Docker.Container;

beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
  const containers = await Promise.all([0, 1].map(startDesktop));
  [greedy, other] = containers as [Docker.Container, Docker.Container];
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

async function startDesktop(): Promise<Docker.Container> {
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  return fleet.docker.getContainer(await fleet.instance(start));
}

/** Runs a Perl program inside, which makes system calls by number. It has no terminal: all may be taken. */
async function run(container: Docker.Container, program: string): Promise<PassThrough> {
  const exec = await container.exec({
    ...(await asDesktop(container)),
    Cmd: ['perl', '-e', `$| = 1; ${program}`],
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await exec.start({});
  const output = new PassThrough();
  container.modem.demuxStream(stream, output, output);
  stream.on('end', () => output.end());
  return output;
}

/** Runs a program. @returns its output */
const perl = async (container: Docker.Container, program: string): Promise<string> =>
  (await text(await run(container, program))).trim();

/** Takes as much of a resource as it gets and holds it. @returns the amount */
async function exhaust(container: Docker.Container, take: string): Promise<number> {
  const output = await run(container, `${take}; print "$n\\n"; sleep 3600`);
  let text = '';
  output.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  return Number(await waitFor('all to be taken', () => /(\d+)\s/.exec(text)?.[1]));
}

const TAKE = {
  'inotify instances': '$n = 0; $n++ while syscall(294, 0) >= 0',
  terminals: '$n = 0; while (open($f, "+<", "/dev/ptmx")) { push @f, $f; undef $f; $n++ }',
  timers: '$id = pack("q", 0); $n = 0; $n++ while syscall(222, 1, 0, $id) == 0',
  // Pages of pipes: pipes above the soft limit get one page instead of sixteen.
  'pages of pipes': `$n = 0; while ($n < 3000) {
    my ($r, $w); pipe($r, $w) && fcntl($w, 1032, 0) >= 65536 or last;
    fcntl($w, 1031, 1 << 20); push @p, $r, $w; $n++ }`,
};

test.each(Object.entries(TAKE))(
  'a desktop that takes all %s leaves another with as many as before',
  async (_, take) => {
    const before = Number(await perl(other, `${take}; print $n`));
    expect(before).toBeGreaterThan(10);
    expect(await exhaust(greedy, take)).toBeGreaterThan(10);
    expect(Number(await perl(other, `${take}; print $n`))).toBe(before);
  },
);

test('every desktop runs under a uid of its own that has a user name', async () => {
  const uids = await Promise.all(
    [greedy, other].map(async (container) => {
      expect(await perl(container, 'print((getpwuid $<)[0])')).toBe('user');
      const { Config } = await container.inspect();
      const uid = await perl(container, 'print $<');
      expect(Config.Labels[LABELS.uid]).toBe(uid);
      return uid;
    }),
  );
  expect(new Set(uids).size).toBe(2);
});

test.each([
  ['io_setup', '$c = pack("Q", 0); $r = syscall(206, 128, $c)'],
  ['io_uring_setup', '$p = "\\0" x 120; $r = syscall(425, 8, $p)'],
  ['add_key', '$t = "user"; $d = "d"; $v = "v"; $r = syscall(248, $t, $d, $v, 1, -3)'],
  ['keyctl', '$r = syscall(250, 0, -3, 1)'],
  ['bpf', '$a = "\\0" x 128; $r = syscall(321, 0, $a, 128)'],
  ['perf_event_open', '$a = "\\0" x 128; $r = syscall(298, $a, 0, -1, -1, 0)'],
  ['userfaultfd', '$r = syscall(323, 0x801)'],
  ['unshare of a user namespace', '$r = syscall(272, 0x10000000)'],
  ['a socket of the kernel’s cryptography', '$r = syscall(41, 38, 5, 0)'],
])('%s is refused', async (_, call) => {
  expect(await perl(other, `${call}; print $r < 0 ? 0 + $! : "done"`)).toMatch(/^(1|38)$/);
});

test('what programs need is allowed: threads, files, pipes, sockets, timers, signals', async () => {
  const program = `
    pipe($r, $w) or die; socketpair($a, $b, 1, 1, 0) or die; socket($s, 2, 1, 0) or die;
    $pid = fork; exit 7 unless $pid; waitpid $pid, 0; die unless $? >> 8 == 7;
    open($f, ">", "/tmp/x") && print $f "x" or die; rename "/tmp/x", "/tmp/y" or die; unlink "/tmp/y" or die;
    $SIG{ALRM} = sub { print "alarm " }; alarm 1; select(undef, undef, undef, 5);
    die if syscall(162); print "fine"`;
  expect(await perl(other, program)).toBe('alarm fine');
});
