import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../random.ts';
import type { World } from '../world.ts';
import type { FaultKind, PlannedFault } from './plan.ts';

/** A fault that was injected, and when its parts ran again, Unix ms. */
export type Injected = {
  kind: FaultKind;
  from: number;
  to: number;
  /** When the engine had ended, for faults of it. */
  engineEndedAt: number | undefined;
};

/** The longest absence of a part, ms: a start survives it with its three attempts. */
const MOST_AWAY_MS = 2000;

/** Injects a fault and restores what it ended. */
export async function inject(world: World, { kind, seed }: PlannedFault): Promise<Injected> {
  const random = new Random(seed);
  const from = Date.now();
  let engineEndedAt: number | undefined;
  const endEngine = async (signal: 'SIGKILL' | 'SIGTERM') => {
    await world.engine?.end(signal);
    engineEndedAt = Date.now();
  };
  const awayMs = random.int(0, MOST_AWAY_MS);
  const worker = world.workers[random.int(0, world.workers.length - 1)];
  switch (kind) {
    case 'worker killed':
    case 'worker ended':
      await worker?.end(kind === 'worker killed' ? 'SIGKILL' : 'SIGTERM');
      await sleep(awayMs);
      await worker?.start();
      break;
    case 'queue Redis killed':
      await world.queue.crash(awayMs);
      break;
    case 'realtime Redis killed':
      await world.realtime.kill();
      await sleep(awayMs);
      await world.realtime.restart();
      break;
    case 'engine killed':
    case 'engine restarted':
      await endEngine(kind === 'engine killed' ? 'SIGKILL' : 'SIGTERM');
      await sleep(awayMs);
      await world.engine?.start();
      break;
    case 'all killed':
      await killAll(world, random, () => endEngine('SIGKILL'));
  }
  return { kind, from, to: Date.now(), engineEndedAt };
}

/** Kills workers, engine and both Redis in random order and starts them in another; PostgreSQL and edge stay. */
async function killAll(world: World, random: Random, killEngine: () => Promise<void>): Promise<void> {
  const { engine, queue, realtime, workers } = world;
  const parts = [
    ...workers.map(({ end, start }) => ({ kill: () => end('SIGKILL'), start })),
    { kill: killEngine, start: () => engine?.start() },
    { kill: queue.kill, start: queue.restart },
    { kill: realtime.kill, start: realtime.restart },
  ];
  for (const { kill } of shuffled(parts, random)) {
    await kill();
    await sleep(random.int(0, 300));
  }
  // A worker that starts without a Redis waits for it.
  await Promise.all(
    shuffled(parts, random).map(async ({ start }, i) => {
      await sleep(i * 150);
      await start();
    }),
  );
}

const shuffled = <T>(items: T[], random: Random): T[] =>
  items
    .map((item) => ({ item, order: random.next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
