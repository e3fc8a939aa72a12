import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { waitFor } from '../../quality/testing/wait.ts';

/** The real script. Each program of the cloud and of the host is replaced by a line of shell. */
let dir: string;
let script: ChildProcess;
let ended: Promise<number | null>;

const at = (name: string) => join(dir, name);
/** The values of this host's metadata; a missing one is a 404. */
const setMetadata = (name: string, text: string) =>
  writeFileSync(at(`metadata-${name.replaceAll('/', '-')}`), text);
const calls = () => (existsSync(at('calls')) ? readFileSync(at('calls'), 'utf8').trim().split('\n') : []);

function program(name: string, body: string): void {
  writeFileSync(at(name), `#!/bin/bash\n${body}\n`);
  chmodSync(at(name), 0o755);
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'warmwind-lifecycle-'));
  program(
    'curl',
    `url="\${@: -1}"
case "$*" in
  *api/token*) echo token ;;
  *meta-data/*) cat "${dir}/metadata-$(echo "\${url#*meta-data/}" | tr / -)" 2>/dev/null || exit 22 ;;
  *health/ready*) echo >>${dir}/asked; [ -e ${dir}/ready ] || exit 22 ;;
esac`,
  );
  program(
    'aws',
    `echo "$2 $*" | grep -oE '^[a-z-]+|--lifecycle-hook-name [a-z]+|--(no-)?protected-from-scale-in' | paste -sd' ' >>${dir}/calls`,
  );
  program('docker', `[ ! -e ${dir}/desktop ] || echo id`);
  program('systemctl', `echo "$*" >>${dir}/calls`);
  setMetadata('instance-id', 'i-1');
  script = spawn('bash', [join(import.meta.dirname, 'lifecycle.sh')], {
    env: { PATH: `${dir}:${process.env.PATH}`, AWS_REGION: 'r', GROUP: 'g', FLEET: 'f', EVERY_S: '0.05' },
    stdio: 'ignore',
  });
  ended = new Promise((resolve) => script.once('close', resolve));
});
afterEach(async () => {
  script.kill('SIGKILL');
  await ended;
  rmSync(dir, { recursive: true, force: true });
});

const JOINED = 'complete-lifecycle-action --lifecycle-hook-name ready';
const LEFT = ['stop warmwind-worker', 'complete-lifecycle-action --lifecycle-hook-name drained'];

it('a host joins its group once its worker is ready, and not before', async () => {
  await waitFor('it to be asked', () => existsSync(at('asked')) && readFileSync(at('asked')).length >= 3);
  expect(calls()).toEqual([]);
  writeFileSync(at('ready'), '');
  await waitFor('the host to join', () => calls().includes(JOINED));
  expect(calls()[0]).toBe(JOINED);
});

it('it is protected while desktops run on it, by one call', async () => {
  writeFileSync(at('ready'), '');
  writeFileSync(at('desktop'), '');
  await waitFor('protection', () => calls().includes('set-instance-protection --protected-from-scale-in'));
  rmSync(at('desktop'));
  await waitFor('no protection', () =>
    calls().includes('set-instance-protection --no-protected-from-scale-in'),
  );
  expect(calls().filter((call) => call.startsWith('set-'))).toHaveLength(2);
});

it.each([
  ['its group ends it', 'autoscaling/target-lifecycle-state', 'Terminated'],
  ['its spot instance is reclaimed', 'spot/instance-action', '{"action":"terminate"}'],
])('when %s its worker drains first, then it leaves', async (_, name, text) => {
  writeFileSync(at('ready'), '');
  await waitFor('the host to join', () => calls().includes(JOINED));
  setMetadata(name, text);
  expect(await ended).toBe(0);
  expect(calls().slice(-2)).toEqual(LEFT);
});
