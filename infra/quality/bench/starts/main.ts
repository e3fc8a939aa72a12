import { startModelServer } from '../../../../workers/testing/model-server.ts';
import { createStack } from '../../e2e/stack.ts';
import { startEngine } from '../../testing/docker.ts';
import { waitFor } from '../../testing/wait.ts';
import { UNLIMITED } from '../client.ts';
import { median, percentile, report } from '../report.ts';
import { startByCommand, startByEngine } from './by-hand.ts';
import { PlatformClient } from './platform.ts';

/**
 * Measures the start of a desktop until its first picture at a socket, cold and warm, in turns with the same
 * container started by hand until its first RFB byte, and with the round trip of a job that does nothing.
 */
const ROUNDS = Number(process.env.ROUNDS ?? 20);
const AT_ONCE = Number(process.env.AT_ONCE ?? 20);
/** Rounds before the first that counts. */
const WARM_UP = Number(process.env.WARM_UP ?? 2);
/** A socket may watch a few more. */
const SCREENS_OF_SOCKET = 10;
/** A variable makes a start cold. */
const COLD = { env: { EDITOR: 'vi' } };
const MODEL = 'empty';

const engine = await startEngine();
const models = await startModelServer([MODEL]);
const stack = createStack({
  ...UNLIMITED,
  MODEL_SERVER: 'off',
  MODEL_SERVERS: models.url,
  INFERENCE_LIMIT: '100000/min',
  WARM_POOL: '{"desktop":1}',
});
let client: PlatformClient | undefined;
let met = false;

const times: Record<'hand' | 'engine' | 'cold' | 'warm' | 'empty', number[]> = {
  hand: [],
  engine: [],
  cold: [],
  warm: [],
  empty: [],
};
let missed = 0;

async function onPlatform(platform: PlatformClient, spec: object): Promise<{ ms: number; warm: boolean }> {
  await platform.filledPools();
  const { containerId, ms } = await platform.startDesktop(spec);
  const warm = await platform.isWarm(containerId);
  await platform.stopDesktop(containerId);
  return { ms, warm };
}

async function round(platform: PlatformClient, counts: boolean): Promise<void> {
  await platform.filledPools();
  const hand = await startByCommand(engine);
  await hand?.remove();
  const direct = await startByEngine(engine);
  await direct.remove();
  const cold = await onPlatform(platform, COLD);
  const warm = await onPlatform(platform, {});
  await platform.filledPools();
  models.scripts.push({ pieces: [], everyMs: 0 });
  const empty = await platform.emptyJob(MODEL);
  if (!counts) return;
  times.hand.push(hand?.ms ?? direct.ms);
  times.engine.push(direct.ms);
  times.cold.push(cold.ms);
  if (warm.warm) times.warm.push(warm.ms);
  else missed += 1;
  times.empty.push(empty);
}

/** Starts many desktops at once; those that find no room wait until others stop. @returns how long each took, ms */
async function crowd(): Promise<number[]> {
  const sockets = Math.ceil(AT_ONCE / SCREENS_OF_SOCKET);
  const clients = await Promise.all(Array.from({ length: sockets }, () => PlatformClient.open(stack.file())));
  const clientOf = (index: number) => clients[index % sockets] as PlatformClient;
  const desktops = Array.from({ length: AT_ONCE }, async (_, index) => {
    const { containerId, ms } = await clientOf(index).startDesktop({});
    await clientOf(index).stopDesktop(containerId);
    return ms;
  });
  const took = await Promise.all(desktops);
  for (const each of clients) each.close();
  return took;
}

try {
  await stack.start();
  const platform = await PlatformClient.open(stack.file());
  client = platform;
  await waitFor('the model', async () => (await platform.edge.listModels()).items.length > 0, 30_000);
  for (let n = -WARM_UP; n < ROUNDS; n++) await round(platform, n >= 0);
  const p50 = {
    hand: median(times.hand),
    cold: median(times.cold),
    warm: median(times.warm),
    empty: median(times.empty),
  };
  met = report(`Starts of a desktop, ${ROUNDS} of each`, [
    { name: '`docker run` → first RFB byte, p50', value: p50.hand, unit: 'ms' },
    { name: "the engine's API → first RFB byte, p50", value: median(times.engine), unit: 'ms' },
    { name: 'an empty job, request → its end at the socket, p50', value: p50.empty, unit: 'ms' },
    { name: 'cold, request → first picture, p95', value: percentile(times.cold, 95), unit: 'ms' },
    { name: 'cold, request → first picture, p50', value: p50.cold, unit: 'ms' },
    { name: 'cold / `docker run`, p50', value: p50.cold / p50.hand, unit: '', target: { atMost: 1.15 } },
    { name: 'warm, request → first picture, p95', value: percentile(times.warm, 95), unit: 'ms' },
    { name: 'warm, request → first picture, p50', value: p50.warm, unit: 'ms', target: { atMost: 100 } },
    { name: 'warm / an empty job, p50', value: p50.warm / p50.empty, unit: '', target: { atMost: 2 } },
    { name: 'warm / cold, p50', value: p50.warm / p50.cold, unit: '', target: { atMost: 1 / 3 } },
    { name: 'starts that should be warm and were not', value: missed, unit: '', target: { atMost: 0 } },
  ]);
  const all = await crowd();
  met =
    report(`${AT_ONCE} starts at once`, [
      { name: 'first pictures', value: all.length, unit: '', target: { atLeast: AT_ONCE } },
      { name: 'first picture, p50', value: median(all), unit: 'ms' },
      { name: 'the last first picture', value: Math.max(...all), unit: 'ms' },
    ]) && met;
} finally {
  client?.close();
  await stack.remove();
  await models.stop();
}
process.exit(met ? 0 : 1);
