import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { newId } from '../../contract/ids.ts';
import type { Reservation, ResourceVector } from '../../contract/resources.ts';
import { keys } from '../keys.ts';
import { Reservations, type Room } from './reservations.ts';

let redis: TestRedis;
let connections: Redis[];
let hosts: Reservations[];
beforeAll(async () => {
  redis = await startRedis();
  connections = Array.from({ length: 4 }, () => new Redis(redis.url));
  hosts = connections.map((connection) => new Reservations(connection));
});
afterAll(async () => {
  for (const connection of connections) connection.disconnect();
  await redis.stop();
});

const GPUS = ['GPU-1', 'GPU-2'];
const ROOM: Room = { capacity: { memoryMb: 1000, containers: 4, gpus: 2, cpus: 16 }, gpuIds: GPUS };
const TAKEN = { gpuIds: [] };
const reservation = (host: string, containerId: string, more: Partial<ResourceVector>): Reservation => ({
  containerId,
  host,
  vector: { memoryMb: 100, cpus: 1, diskMb: 0, gpus: 0, containers: 1, ...more },
  at: Date.now(),
  gpuIds: [],
});
const sums = (all: Iterable<Reservation>) => {
  const sum = { memoryMb: 0, containers: 0, gpus: 0 };
  for (const { vector } of all) {
    for (const name of ['memoryMb', 'containers', 'gpus'] as const) sum[name] += vector[name];
  }
  return sum;
};
const fits = ({ memoryMb, containers, gpus }: ReturnType<typeof sums>) =>
  memoryMb <= 1000 && containers <= 4 && gpus <= 2;

const steps = fc.array(
  fc.record({
    host: fc.nat({ max: 3 }),
    action: fc.constantFrom('take' as const, 'take' as const, 'release' as const),
    memoryMb: fc.constantFrom(100, 250, 300, 600, 1100),
    gpus: fc.constantFrom(0, 0, 0, 1, 2),
    of: fc.nat({ max: 5 }),
  }),
  { maxLength: 40 },
);

test('concurrent reservations of hosts of one machine never exceed its capacity', async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const machine = newId();
      const took = new Set<string>();
      const lists = await Promise.all(
        all.map(async ({ host, action, memoryMb, gpus, of }) => {
          const own = hosts[host];
          if (!own) throw new Error('no such host');
          const instance = `${host}-${of}`;
          if (action === 'release') await own.release(machine, [instance]);
          else {
            const wanted = reservation(`host-${host}`, `container-${of}`, { memoryMb, gpus });
            const taken = await own.take({ machine, instance, reservation: wanted }, ROOM);
            if ('gpuIds' in taken) took.add(instance);
          }
          return own.list(machine);
        }),
      );
      for (const list of lists) {
        expect(fits(sums(list.values()))).toBe(true);
        const ids = [...list.values()].flatMap(({ gpuIds }) => gpuIds);
        expect(new Set(ids).size).toBe(ids.length);
        for (const { vector, gpuIds } of list.values()) expect(gpuIds).toHaveLength(vector.gpus);
      }
      // The remaining reservations are a part of those taken, and a request that fits into the rest succeeds.
      const left = await new Reservations(redis.client).list(machine);
      for (const instance of left.keys()) expect(took).toContain(instance);
      const used = sums(left.values());
      const next = reservation('host-9', 'container-9', { memoryMb: 1000 - used.memoryMb });
      const room = used.containers < 4;
      const last = { machine, instance: 'last', reservation: next };
      const taken = await new Reservations(redis.client).take(last, ROOM);
      expect(taken).toEqual(room ? { gpuIds: [] } : { lacks: 'containers' });
    }),
    { numRuns: 150 },
  );
});

test('a host that reserves again for a container replaces its own earlier reservation, not that of another host', async () => {
  const machine = newId();
  const [own] = hosts;
  if (!own) throw new Error('no host');
  const large = (host: string) => reservation(host, 'c1', { memoryMb: 600 });
  expect(await own.take({ machine, instance: 'i1', reservation: large('a') }, ROOM)).toEqual(TAKEN);
  expect(await own.take({ machine, instance: 'i2', reservation: large('b') }, ROOM)).toEqual({
    lacks: 'memoryMb',
  });
  expect(await own.take({ machine, instance: 'i3', reservation: large('a') }, ROOM)).toEqual(TAKEN);
  expect([...(await own.list(machine)).keys()]).toEqual(['i3']);
  // Existing use is recorded even where it does not fit.
  await own.keep({ machine, instance: 'i4', reservation: large('b') });
  expect([...(await own.list(machine)).keys()].sort()).toEqual(['i3', 'i4']);
});

test('tenths of a CPU fill a machine exactly, and reservations of the warm pool replace none', async () => {
  const machine = newId();
  const [own] = hosts;
  if (!own) throw new Error('no host');
  const room = { capacity: { cpus: 0.3 }, gpuIds: [] };
  const take = (cpus: number, instance: string) =>
    own.take({ machine, instance, reservation: reservation('a', '', { cpus }) }, room);
  expect(await take(0.1, 'i1')).toEqual(TAKEN);
  expect(await take(0.2, 'i2')).toEqual(TAKEN);
  expect(await take(0.1, 'i3')).toEqual({ lacks: 'cpus' });
  expect((await own.list(machine)).size).toBe(2);
});

test('a GPU in use is kept with its reservation, and no other reservation gets it', async () => {
  const machine = newId();
  const [own] = hosts;
  if (!own) throw new Error('no host');
  const kept = { ...reservation('a', 'c1', { gpus: 1 }), gpuIds: ['GPU-1'] };
  await own.keep({ machine, instance: 'i1', reservation: kept });
  const wanted = reservation('a', 'c2', { gpus: 1 });
  const next = { machine, instance: 'i2', reservation: wanted };
  expect(await own.take(next, ROOM)).toEqual({ gpuIds: ['GPU-2'] });
  const last = { machine, instance: 'i3', reservation: reservation('a', 'c3', { gpus: 1 }) };
  expect(await own.take(last, ROOM)).toEqual({ lacks: 'gpus' });
  expect((await own.list(machine)).get('i2')?.gpuIds).toEqual(['GPU-2']);
  // A second host of the machine offers other devices.
  expect(await own.take(last, { ...ROOM, gpuIds: ['GPU-2'] })).toEqual({ lacks: 'gpus' });
});

test('a lost host keeps no reservations, while other hosts of its machine keep theirs', async () => {
  const machine = newId();
  const [own] = hosts;
  if (!own) throw new Error('no host');
  const published = JSON.stringify({ machine, capacity: ROOM.capacity });
  await redis.client.hset(keys.hostResources(), 'a', published, 'b', published);
  for (const host of ['a', 'b']) {
    const wanted = reservation(host, `of-${host}`, {});
    await own.take({ machine, instance: `i-${host}`, reservation: wanted }, ROOM);
  }
  await own.forgetHost('a');
  await own.forgetHost('unknown');
  expect([...(await own.list(machine)).keys()]).toEqual(['i-b']);
  expect(await redis.client.hkeys(keys.hostResources())).toEqual(['b']);
});
