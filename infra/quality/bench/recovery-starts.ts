import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { keys } from '@warmwind/shared/engine/keys';
import { createFleet, type Fleet, killed } from '../../../workers/testing/fleet.ts';
import type { Submitted } from '../../../workers/testing/submissions.ts';
import { waitFor } from '../testing/wait.ts';

const HOSTS = ['a', 'b'];
/** The settings of production that tests shorten. */
const USUAL = { LEASE_MS: '10000', LOST_AFTER_MS: '600000' };
/** Jobs of a start that is moved wait at most this long: the lease, the locks and the checks, ms. */
const MOVED_WITHIN_MS = 60_000;

export type StartsOptions = {
  rounds: number;
  /** Rounds without beats. */
  alone: number;
  deadAfterMs: string;
};

/** Measures how long a start takes until a peer makes it, when the process that makes it is killed. */
export async function measureStarts({ rounds, alone, deadAfterMs }: StartsOptions) {
  if (rounds + alone === 0) return { alone: [], withBeats: [] };
  const fleet = await createFleet();
  const silent = await createSilentImage(fleet);
  try {
    return {
      alone: await measure(fleet, silent.image, alone, '0'),
      withBeats: await measure(fleet, silent.image, rounds, deadAfterMs),
    };
  } finally {
    await fleet.stop();
    await silent.remove();
  }
}

/** Makes an image of a desktop that never greets, so that its start lasts. */
async function createSilentImage({ docker, fleet, image }: Fleet) {
  const idle = await docker.createContainer({ Image: image });
  const repo = 'warmwind/silent';
  // With the label of the desktop's image it would be taken for that image.
  await idle.commit({ repo, tag: fleet, changes: 'ENTRYPOINT ["sleep", "600"]\nLABEL warmwind.source=none' });
  await idle.remove();
  const name = `${repo}:${fleet}`;
  return { image: name, remove: () => docker.getImage(name).remove({ force: true }) };
}

async function measure(fleet: Fleet, image: string, rounds: number, deadAfterMs: string): Promise<number[]> {
  if (rounds === 0) return [];
  const taken: number[] = [];
  const env = { ...USUAL, DEAD_AFTER_MS: deadAfterMs };
  const processes = new Map(HOSTS.map((host) => [host, fleet.process(host, env)]));
  for (let round = 0; round < rounds; round++) {
    await waitUntilReady(fleet, Number(deadAfterMs));
    taken.push(await measureOne(fleet, image, processes, env));
  }
  for (const child of processes.values()) await killed(child);
  return taken;
}

/** Waits until both processes hold their names, and trust Redis and each other's beats. */
async function waitUntilReady({ queueRedis: { client } }: Fleet, deadAfterMs: number): Promise<void> {
  await waitFor('both hosts', async () => (await client.exists(...HOSTS.map(keys.hostLease))) === 2, 60_000);
  await waitFor(
    'the beats',
    async () => (await client.zcard(keys.processBeats())) === (deadAfterMs ? 2 : 0),
    60_000,
  );
  await sleep((deadAfterMs ? 3 * deadAfterMs : 10_000) + Math.random() * 2000);
}

/** Kills the process that makes a start. @returns ms until its peer makes it */
async function measureOne(
  fleet: Fleet,
  image: string,
  processes: Map<string, ChildProcess>,
  env: Record<string, string>,
): Promise<number> {
  const start = await fleet.startDesktop({ image });
  const host = await hostOf(fleet, start);
  const child = processes.get(host);
  if (!child) throw new Error(`no process of host ${host}`);
  const at = performance.now();
  child.kill('SIGKILL');
  await waitFor('the peer', async () => (await hostOf(fleet, start)) !== host, MOVED_WITHIN_MS);
  const ms = performance.now() - at;
  if ((await fleet.job(start))?.attemptsMade !== 0) throw new Error('a moved start has spent an attempt');
  await fleet.cancel(start);
  await waitFor('the start to end', async () => (await fleet.job(start))?.state === 'cancelled', 30_000);
  await killed(child);
  processes.set(host, fleet.process(host, env));
  return ms;
}

/** Waits for the host that makes a start. */
const hostOf = ({ queueRedis: { client } }: Fleet, { userId, containerId }: Submitted): Promise<string> =>
  waitFor('a host', async () => {
    const [state, host] = await client.hmget(keys.container(userId, containerId), 'state', 'host');
    return state === 'starting' && host ? host : undefined;
  });
