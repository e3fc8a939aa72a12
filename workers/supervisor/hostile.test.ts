import { readFile } from 'node:fs/promises';
import { newId } from '@warmwind/shared/contract/ids';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { startTestDesktop, type TestDesktop } from '../testing/desktop.ts';

/** SETGID, SETUID, SETPCAP, KILL. */
const SUPERVISOR_CAPABILITIES = (0b1111 << 5).toString(16).padStart(16, '0');
const NONE = '0'.repeat(16);
const CAPABILITY_SETS = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'];
let desktop: TestDesktop;

beforeAll(async () => {
  desktop = await startTestDesktop();
}, ENGINE_WITHIN_MS);
afterAll(() => desktop?.remove());

/** Runs a Perl program as the supervisor starts it. @returns its output */
async function perl(program: string): Promise<string> {
  const { supervisor } = desktop;
  const { id } = await supervisor.start(newId(), { cmd: ['perl', '-e', `$| = 1; ${program}`] });
  const { body } = await supervisor.output(id, 'stdout');
  const text = (await body.toArray()).join('');
  await supervisor.end(id);
  return text;
}

type Status = Record<string, string>;

/** The status of every process and thread of the container, as the host's kernel has it. */
async function statuses(): Promise<Status[]> {
  const { Processes } = await desktop.container.top({ ps_args: '-eLo pid,tid' });
  const texts = await Promise.all(
    (Processes as string[][]).map(([pid, tid]) =>
      readFile(`/proc/${pid}/task/${tid}/status`, 'utf8').catch(() => ''),
    ),
  );
  return texts
    .filter((text) => text !== '')
    .map((text) =>
      Object.fromEntries(
        [...text.matchAll(/^(\w+):[ \t]*(.*?)[ \t]*$/gm)].map(([, name, value]) => [name, value]),
      ),
    );
}

const capabilities = (status: Status) => CAPABILITY_SETS.map((set) => status[set]);

test('every process has the desktop’s user and no capability in any set, but PID 1 and the keepers', async () => {
  const { supervisor, uid } = desktop;
  const tty = { cols: 80, rows: 24 };
  await supervisor.start('pipes', { cmd: ['sh', '-c', 'setsid sleep 600 & exec sleep 600'] });
  await supervisor.start('terminal', { cmd: ['sleep', '600'], tty });
  await waitFor('the session', async () => (await statuses()).some(({ Name }) => Name === 'xterm'));
  const all = await statuses();
  const roots = all.filter(({ Name }) => Name === 'supervisor');
  const others = all.filter(({ Name }) => Name !== 'supervisor');
  expect(new Set(roots.map(({ Tgid }) => Tgid)).size).toBe(3);
  for (const status of roots) {
    expect(status.Uid?.split(/\s+/)).toEqual(Array(4).fill('0'));
    expect([NONE, SUPERVISOR_CAPABILITIES]).toContain(status.CapEff);
    expect([NONE, SUPERVISOR_CAPABILITIES]).toContain(status.CapPrm);
    expect([NONE, SUPERVISOR_CAPABILITIES]).toContain(status.CapBnd);
    expect([status.CapInh, status.CapAmb, status.NoNewPrivs]).toEqual([NONE, NONE, '1']);
  }
  // One process has them: PID 1.
  expect(new Set(roots.filter(({ CapEff }) => CapEff !== NONE).map(({ Tgid }) => Tgid)).size).toBe(1);
  expect(others.map(({ Name }) => Name)).toEqual(expect.arrayContaining(['Xvnc', 'jwm', 'xterm', 'sleep']));
  for (const status of others) {
    expect([status.Name, ...capabilities(status)]).toEqual([status.Name, ...Array(5).fill(NONE)]);
    expect(status.Uid?.split(/\s+/)).toEqual(Array(4).fill(String(uid)));
    expect(status.Gid?.split(/\s+/)).toEqual(Array(4).fill(String(uid)));
    expect([status.Groups, status.NoNewPrivs]).toEqual(['', '1']);
  }
  // The first program of each: one that a shell starts in the background ignores some.
  const first = others.filter(
    ({ Name, PPid }) => Name === 'sleep' && roots.some(({ Tgid }) => Tgid === PPid),
  );
  const signals = first.map(({ SigIgn, SigBlk, SigCgt }) => [SigIgn, SigBlk, SigCgt]);
  expect(signals).toContainEqual([NONE, NONE, NONE]);
  expect(signals.filter(([, blocked, caught]) => blocked !== NONE || caught !== NONE)).toEqual([]);
  await Promise.all(['pipes', 'terminal'].map((id) => supervisor.end(id, { forget: true })));
});

test.each([
  ['connect to its socket', 'socket(S, 1, 1, 0); $r = connect(S, pack("Sa*", 1, "/run/rfb/supervisor"))'],
  ['unlink its socket', '$r = unlink "/run/rfb/supervisor"'],
  ['rename its socket', '$r = rename "/run/rfb/supervisor", "/run/rfb/other"'],
  [
    'put a socket of its own in the place',
    'socket(S, 1, 1, 0); bind(S, pack("Sa*", 1, "/run/rfb/mine")) or die; $r = rename "/run/rfb/mine", "/run/rfb/supervisor"',
  ],
  ['change the mode of its socket', '$r = chmod 0666, "/run/rfb/supervisor"'],
  ['link to its socket', '$r = link "/run/rfb/supervisor", "/run/rfb/linked"'],
  ['remove the folder', '$r = rmdir "/run/rfb"'],
  ['change the mode of the folder', '$r = chmod 0777, "/run/rfb"'],
  ['signal it', '$r = kill "KILL", 1'],
  ['probe it by signal', '$r = kill 0, 1'],
  ['signal a keeper', '$r = kill "KILL", getppid'],
  ['trace it', '$r = syscall(101, 16, 1, 0, 0) == 0'],
  ['seize it', '$r = syscall(101, 0x4206, 1, 0, 0) == 0'],
  ['trace a keeper', '$r = syscall(101, 16, getppid, 0, 0) == 0'],
  ['read its memory', '$r = open(F, "<", "/proc/1/mem")'],
  ['read the memory of a keeper', '$r = open(F, "<", "/proc/" . getppid . "/mem")'],
  ['read its environment', '$r = open(F, "<", "/proc/1/environ")'],
  ['see its files', '$r = opendir(D, "/proc/1/fd")'],
  ['enter its root', '$r = chdir "/proc/1/root"'],
  ['take a file of it', '$fd = syscall(434, 1, 0); $r = syscall(438, $fd, 3, 0) >= 0'],
  ['become root', '$r = syscall(105, 0) == 0'],
  ['become another user', '$r = syscall(105, 1000) == 0'],
  ['replace its program', '$r = open(F, ">", "/usr/local/bin/supervisor")'],
])('the desktop can’t %s', async (_, program) => {
  const answer = await perl(`$r = 0; ${program}; print $r ? "done" : 0 + $!`);
  // EPERM, EACCES, EROFS, EBUSY.
  expect(answer).toMatch(/^(1|13|16|30)$/);
  expect(await desktop.supervisor.health()).toEqual({ version: 2 });
});

test('a program keeps neither the supervisor’s files nor its keeper’s', async () => {
  expect(
    await perl(
      'opendir D, "/proc/self/fd"; print join " ", map { readlink "/proc/self/fd/$_" } sort grep /\\d/, readdir D',
    ),
  ).toMatch(/^\/dev\/null pipe:\[\d+\] pipe:\[\d+\] \/proc\/\d+\/fd$/);
});

test('programs that only the supervisor’s output holds up end, however they behave', async () => {
  const { supervisor } = desktop;
  const behaviours = {
    'writes endlessly': 'yes',
    'closes its outputs': 'exec >&- 2>&-; sleep 600',
    'stops itself': 'kill -STOP $$; sleep 600',
    'stops its group': 'kill -STOP 0; sleep 600',
    'leaves a zombie': "perl -e 'fork or exit; sleep 600'",
    'ignores all signals': "trap '' HUP INT QUIT TERM; while :; do sleep 1; done",
    'runs in threads whose first has ended': "exec perl -e 'fork and exit; sleep 600'",
  };
  for (const [name, command] of Object.entries(behaviours)) {
    const { id } = await supervisor.start(newId(), { cmd: ['sh', '-c', command] });
    const ended = await supervisor.end(id, { forget: true });
    expect([name, ended.state]).toEqual([name, 'ended']);
  }
  expect((await statuses()).map(({ Name }) => Name)).not.toContain('sleep');
});
