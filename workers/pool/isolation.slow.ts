import { join } from 'node:path';
import { newId } from '@warmwind/shared/contract/ids';
import type Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { RFB_DIRECTORY, SUPERVISOR_SOCKET } from '../containers/spec.ts';
import { Supervisor } from '../supervisor/client.ts';
import { insideOf } from '../testing/desktop.ts';
import { createFleet, type Fleet, reached, type Worker } from '../testing/fleet.ts';
import { filledPool, POOLED, pooledInstances, withPool } from '../testing/pool.ts';
import type { Submitted } from '../testing/submissions.ts';

/** In no image, and in nothing but what Ada leaves in her desktop. */
const CANARY = `canary-of-ada-${process.pid}`;
/** A file, what a browser would keep, the clipboard, a process with a variable and an argument, the X server. */
const LEAVE = [
  `echo ${CANARY} > ~/file`,
  `mkdir -p ~/.config/chromium/Default && echo ${CANARY} > ~/.config/chromium/Default/Cookies`,
  `echo ${CANARY} > /tmp/file; echo ${CANARY} > /dev/shm/file; echo ${CANARY} > /run/rfb/file`,
  // The X server keeps who holds a selection; its holder lives on.
  ...['clipboard', 'primary', 'secondary'].map((name) => `printf %s ${CANARY} | xclip -selection ${name} -i`),
  `SECRET=${CANARY} exec sleep 1000`,
  `sleep 1000; : ${CANARY}`,
];
/** Prints every place that holds the canary. The pattern is built so that the search does not find itself. */
const SEARCH = [
  'p="canary-of-a""da"',
  'grep -rl "$p" /home /tmp /dev/shm /run /var/tmp 2>/dev/null',
  'for f in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do [ "$f" = "/proc/$$/cmdline" ] || grep -al "$p" "$f" 2>/dev/null; done',
  'for s in clipboard primary secondary; do timeout 2 xclip -selection $s -o 2>/dev/null | grep -q "$p" && echo "X $s"; done',
  'true',
].join('\n');

let fleet: Fleet;
let worker: Worker;
beforeAll(async () => {
  fleet = await createFleet();
  worker = await fleet.worker('a', withPool(fleet));
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

const engineOf = async (start: Submitted) => fleet.docker.getContainer(await fleet.instance(start));
const found = async (container: Docker.Container): Promise<string[]> => {
  const inside = insideOf(container);
  const [byUser, byRoot] = [await inside(SEARCH), await inside(SEARCH, 'root')];
  return `${byUser}\n${byRoot}`.split('\n').filter(Boolean);
};
async function startWarm(userId: string, spec: object = {}): Promise<Submitted> {
  await filledPool(fleet, worker);
  const start = await fleet.startDesktop({ ...POOLED, ...spec }, userId);
  expect((await reached(fleet, start, 'completed')).result).toMatchObject({ warm: true });
  return start;
}
const stop = async (start: Submitted) => reached(fleet, await fleet.stopDesktop(start), 'completed');

test('nothing of a warm desktop is in an instance of the pool, or in a later desktop, cold or warm', async () => {
  const ada = await startWarm('ada');
  const hers = await engineOf(ada);
  const { Mounts } = await hers.inspect();
  const sockets = Mounts.find(({ Destination }) => Destination === RFB_DIRECTORY)?.Source ?? '';
  const supervisor = new Supervisor(async () => join(sockets, SUPERVISOR_SOCKET));
  for (const command of LEAVE) {
    await supervisor.start(newId(), { cmd: ['sh', '-c', command], background: true });
  }
  const places = ['/home/user/file', 'Cookies', '/tmp/file', '/dev/shm/file', '/run/rfb/file', '/environ'];
  const wanted = [...places, '/cmdline', 'X clipboard', 'X primary', 'X secondary'];
  await waitFor('the canaries', async () => {
    const left = (await found(hers)).join('\n');
    return wanted.every((place) => left.includes(place));
  });

  const meanwhile = await startWarm('bob');
  expect(await found(await engineOf(meanwhile))).toEqual([]);
  await stop(ada);
  const cold = await fleet.startDesktop({ ...POOLED, env: { EDITOR: 'vi' } }, 'cem');
  await reached(fleet, cold, 'completed');
  expect(await found(await engineOf(cold))).toEqual([]);
  const later = await startWarm('dan', { width: 800, height: 600 });
  expect(await found(await engineOf(later))).toEqual([]);
  for (const { Id } of await filledPool(fleet, worker)) {
    expect(await found(fleet.docker.getContainer(Id))).toEqual([]);
  }
  for (const start of [meanwhile, cold, later]) await stop(start);
}, 90_000);

test('an instance of the pool has the options of a cold desktop, and no more in it', async () => {
  await filledPool(fleet, worker);
  const [info] = await pooledInstances(fleet);
  const pooled = await fleet.docker.getContainer(info?.Id ?? '').inspect();
  const cold = await fleet.startDesktop({ ...POOLED, env: { EDITOR: 'vi' } });
  await reached(fleet, cold, 'completed');
  const other = await (await engineOf(cold)).inspect();
  const comparable = ({ HostConfig, Config }: Docker.ContainerInspectInfo) => {
    const { Mounts, Tmpfs, ...limits } = HostConfig;
    const { Labels, Env, Cmd, ...config } = Config;
    const tmpfs = Object.entries(Tmpfs ?? {}).map(([path, o]) => [path, o.replace(/[ug]id=\d+/g, 'id')]);
    return {
      limits,
      config,
      tmpfs,
      mounts: Mounts?.map(({ Source: _, VolumeOptions: __, ...rest }) => rest),
    };
  };
  expect(comparable(pooled)).toEqual(comparable(other));
  expect(pooled.Config.Env.toSorted()).toEqual(
    other.Config.Env.filter((variable) => variable !== 'EDITOR=vi').toSorted(),
  );
  expect(Object.keys(pooled.NetworkSettings.Networks)).toEqual(['none']);
  const inside = insideOf(fleet.docker.getContainer(pooled.Id));
  const files = await inside('cd ~; find . -type f | sort');
  expect(files).toBe(await insideOf(await engineOf(cold))('cd ~; find . -type f | sort'));
  await stop(cold);
});
