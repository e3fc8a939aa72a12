import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { HostResources } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { readDepths } from '@warmwind/shared/engine/node/depths';
import { hostQueues, JOB_QUEUES } from '@warmwind/shared/engine/queues';
import { parseJson } from '@warmwind/shared/runtime/json';
import type Docker from 'dockerode';
import { LABELS } from '../../../../workers/containers/spec.ts';
import type { OwnEngine } from '../../testing/own-engine.ts';
import { isLive, type LifeRun, type Recorded } from './agreement.ts';

type Report = (invariant: string, subject: string, detail: string) => void;

/** A volume that is recorded before it is made is recorded as removed this long after, ms. */
const VOLUME_GRACE_MS = 75_000;

/** Checks that nothing is left of desktops and jobs that have ended. */
export async function checkLeftovers(run: LifeRun, recorded: Recorded[], report: Report): Promise<void> {
  // Before Docker 24 an engine with live-restore keeps volumes until it is restarted without their containers.
  if (!run.liveRestore) await checkVolumes(run, report);
  await checkReservations(run, recorded, report);
  await checkRedis(run, recorded, report);
  await checkPrograms(recorded, report);
}

/** Volumes, their mounts and the machine's processes are those of the engine's containers. */
async function checkVolumes({ world }: LifeRun, report: Report): Promise<void> {
  const { engine, docker, fleet, postgres } = world;
  const containers = await world.containers();
  const instances = new Set(containers.map(({ Labels }) => Labels[LABELS.instance] ?? ''));
  const filters = { label: [`${LABELS.fleet}=${fleet}`] };
  const { Volumes } = await docker.listVolumes({ filters });
  for (const { Name, Labels } of Volumes ?? [])
    if (!instances.has(Labels?.[LABELS.instance] ?? ''))
      report('no orphan', Name, 'volume without a container');
  const rows = await postgres.sql<{ id: string; created_at: Date }[]>`
    select id, created_at from volumes where removed_at is null`;
  for (const { id, created_at } of rows) {
    if (!instances.has(id) && created_at.getTime() < Date.now() - VOLUME_GRACE_MS)
      report('no orphan', id, 'volume is present in the ledger only');
  }
  const uids = containers.map(({ Labels }) => Labels[LABELS.uid]);
  if (new Set(uids).size !== uids.length) report('one desktop, one uid', '', uids.join(', '));
  if (engine) await checkMachine(engine, containers, report);
}

/** The machine has the mounts, folders and processes of the engine's containers, and no other. */
async function checkMachine(
  engine: OwnEngine,
  containers: Docker.ContainerInfo[],
  report: Report,
): Promise<void> {
  const folder = join(engine.dataRoot, 'volumes');
  const present = new Set(containers.flatMap(({ Mounts }) => Mounts.map(({ Name }) => Name)));
  const folders = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const { Volumes } = await engine.docker.listVolumes();
  for (const { name } of folders) {
    const known = (Volumes ?? []).find(({ Name }) => Name === name);
    if (!present.has(name)) report('no orphan', name, `folder of a volume ${JSON.stringify(known)}`);
  }
  for (const line of (await readFile('/proc/mounts', 'utf8')).split('\n')) {
    const name = line.split(`${folder}/`)[1]?.split('/')[0];
    if (name !== undefined && !present.has(name)) report('no orphan', name, 'mount of a volume');
  }
  const ids = new Set(containers.map(({ Id }) => Id));
  for (const [id, pids] of await engine.processes())
    if (!ids.has(id)) report('no orphan', id, `processes ${pids.join(', ')} of a container that is gone`);
}

/** Exactly the instances on the engine have reserved. */
async function checkReservations({ world }: LifeRun, recorded: Recorded[], report: Report): Promise<void> {
  const redis = world.queue.client;
  const published = Object.values(await redis.hgetall(keys.hostResources()));
  const machines = new Set(published.map((json) => parseJson(HostResources, json).machine));
  const instances = new Set((await world.containers()).map(({ Labels }) => Labels[LABELS.instance] ?? ''));
  const reserved = new Set<string>();
  for (const machine of machines)
    for (const instance of await redis.hkeys(keys.reservations(machine))) reserved.add(instance);
  for (const id of reserved)
    if (!instances.has(id)) report('no orphan', id, 'reservation without an instance');
  for (const id of instances)
    if (!reserved.has(id)) report('engine agrees', id, 'runs without a reservation');
  for (const { name } of world.workers) {
    const members = await redis.smembers(keys.hostContainers(name));
    const own = recorded.filter((one) => isLive(one) && one.record.host === name);
    const ids = new Set(own.map(({ desktop }) => `${desktop.client.user}/${desktop.containerId}`));
    for (const member of members)
      if (!ids.has(member)) report('no orphan', member, `is still listed on ${name}`);
    if (!(await redis.exists(keys.hostLease(name))))
      report('engine agrees', name, 'no process holds the host');
  }
}

/** No quota counts what has ended; nothing waits. */
async function checkRedis({ world, clients }: LifeRun, recorded: Recorded[], report: Report): Promise<void> {
  const redis = world.queue.client;
  const live = new Set(recorded.filter(isLive).map(({ desktop }) => desktop.containerId));
  for (const user of clients.keys()) {
    for (const id of await redis.zrangebyscore(keys.openJobs(user), Date.now(), '+inf'))
      report('no orphan', id, `counts against the quota of jobs of ${user}`);
    for (const id of await redis.zrangebyscore(keys.openContainers(user), Date.now(), '+inf'))
      if (!live.has(id)) report('no orphan', id, `counts against the quota of desktops of ${user}`);
  }
  for (const key of [keys.changedUsers(), keys.cancellations(), keys.unpublishedEnds(), keys.waitingStarts()])
    for (const member of await redis.zrange(key, '0', '-1')) report('nothing waits', member, `in ${key}`);
  const queues = [...JOB_QUEUES, ...world.workers.flatMap(({ name }) => hostQueues(name))];
  for (const [queue, { waiting, active }] of Object.entries(await readDepths(redis, queues, 1)))
    if (waiting + active > 0) report('nothing waits', queue, `${waiting} waiting, ${active} active`);
  const open = await world.postgres.sql<{ id: string; kind: string; state: string }[]>`
    select id, kind, state from jobs where finished_at is null`;
  for (const { id, kind, state } of open) report('everything ends', id, `${kind} is ${state}`);
}

/** Only programs in the background outlive their jobs. */
async function checkPrograms(recorded: Recorded[], report: Report): Promise<void> {
  for (const { desktop, record } of recorded) {
    if (record.state !== 'running') continue;
    const { client, containerId } = desktop;
    const answer = await client.request((edge) => edge.listProcesses({ containerId }));
    if (!answer.value) {
      report('views agree', containerId, `its programs can't be listed: ${answer.status} ${answer.code}`);
      continue;
    }
    for (const { id, cmd, state, background } of answer.value.items) {
      if (state !== 'running' || background) continue;
      const job = (await client.request((edge) => edge.getJob(id))).value;
      if (!job || isTerminal(job.state))
        report('no orphan', containerId, `program ${id}: ${cmd.join(' ').slice(0, 80)}`);
    }
  }
}
