import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@warmwind/shared/client/client';
import { compareEventIds, type Envelope } from '@warmwind/shared/contract/rooms';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { plannedRandom } from '../infra/quality/testing/random.ts';
import { waitFor } from '../infra/quality/testing/wait.ts';
import { connected, percents, progress, subscribe, ticket, upTo, World } from './testing/world.ts';

const SUBSCRIBERS = 20;
const EVENTS = 1000;
/** Six processes start one after the other, each within its own bound. */
const WITHIN_MS = 90_000;
let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

/** Appends `EVENTS` events over about `ms`, several at once now and then. */
async function produce(user: string, job: string, ms: number): Promise<void> {
  const batch = 4;
  for (let n = 0; n < EVENTS; n += batch) {
    await Promise.all(Array.from({ length: batch }, (_, i) => world.append(user, job, progress(n + i + 1))));
    await sleep((ms * batch) / EVENTS);
  }
}

/** A stock client that keeps moving from node to node, resuming after the last id it has seen. */
async function hop(urls: string[], token: string, room: string, k: number, done: () => boolean) {
  const seen: Envelope[] = [];
  const random = plannedRandom(k);
  let hops = 0;
  let roundsAfterEnd = 0;
  for (let i = k; percents(seen).at(-1) !== EVENTS && roundsAfterEnd < 20; i++) {
    if (done()) roundsAfterEnd += 1;
    const socket = world.client(urls[i % urls.length] ?? '', token);
    socket.onAny((_type: string, event: Envelope) => seen.push(event));
    if ((await connected(socket)) === undefined) {
      await subscribe(socket, room, seen.at(-1)?.id).catch(() => undefined);
      await sleep(random.int(30, 280));
      hops += 1;
    }
    socket.disconnect();
    await sleep(random.int(0, 30));
  }
  return { seen, hops };
}

/** Missing, doubled and misplaced events of one subscriber. */
function faults(seen: Envelope[]) {
  const ids = seen.map(({ id }) => id);
  const wanted = new Set(percents(seen));
  return {
    missing: upTo(EVENTS).filter((n) => !wanted.has(n)).length,
    doubled: ids.length - new Set(ids).size,
    misplaced: ids.filter((id, i) => i > 0 && compareEventIds(ids[i - 1] ?? '', id) >= 0).length,
  };
}
const NONE = { missing: 0, doubled: 0, misplaced: 0 };

test('20 subscribers that hop between three nodes receive every event once and in order', async () => {
  const nodes = await Promise.all([world.node(), world.node(), world.node()]);
  const urls = nodes.map(({ url }) => url);
  const job = await world.job('ann');
  const token = await ticket('ann');
  let produced = false;
  const began = performance.now();
  const hopping = Promise.all(
    Array.from({ length: SUBSCRIBERS }, (_, k) => hop(urls, token, `job:${job}`, k, () => produced)),
  );
  await produce('ann', job, 3000);
  produced = true;
  const results = await hopping;
  const delivered = results.reduce((sum, { seen }) => sum + seen.length, 0);
  const hops = results.reduce((sum, r) => sum + r.hops, 0);
  console.log(`${delivered} events, ${hops} hops, ${Math.round(performance.now() - began)} ms`);
  for (const { seen } of results) expect(faults(seen)).toEqual(NONE);
});

test(
  'shared/client receives every event once and in order while its nodes restart by SIGTERM and SIGKILL',
  async () => {
    const processes = await Promise.all([world.process(), world.process()]);
    const job = await world.job('bob');
    const token = await ticket('bob');
    const seen = Array.from({ length: SUBSCRIBERS }, (): Envelope[] => []);
    const began = performance.now();
    const connections = seen.map((events, k) => {
      const connection = connect({ url: processes[k % 2]?.url ?? '', token: async () => token });
      connection.subscribe(`job:${job}`, { onEvent: (event) => events.push(event) });
      world.onTidy(connection.close);
      return connection;
    });
    await waitFor('all to be live', () => connections.every(({ state }) => state === 'live'));
    const producing = produce('bob', job, 5000);
    const codes: unknown[] = [];
    for (const [i, signal] of (['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL'] as const).entries()) {
      await sleep(300);
      const restarted = processes[i % 2];
      codes.push(await restarted?.end(signal));
      await restarted?.start();
    }
    await producing;
    await waitFor('every event to arrive', () => seen.every((events) => events.length >= EVENTS));
    const delivered = seen.reduce((sum, events) => sum + events.length, 0);
    console.log(`${delivered} events over 4 restarts, ${Math.round(performance.now() - began)} ms`);
    for (const events of seen) expect(faults(events)).toEqual(NONE);
    expect(codes).toEqual([0, 'SIGKILL', 0, 'SIGKILL']);
  },
  WITHIN_MS,
);
