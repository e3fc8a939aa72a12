import { setTimeout as sleep } from 'node:timers/promises';
import type { Figure } from '../report.ts';
import { median, report } from '../report.ts';
import { clock } from './client.ts';
import { startClients, startServer } from './processes.ts';
import { startSource } from './source.ts';

/**
 * Compares the relay with `ws` alone: the server's processor time for each delivery, for frames and JSON
 * events to hundreds of clients. Also measures the effect of a slow and a stalled viewer on the others.
 */
const VIEWERS = Number(process.env.VIEWERS ?? 500);
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SECONDS = Number(process.env.SECONDS ?? 4);
/** Rounds before the first that counts, in which the code is compiled. */
const WARM_UPS = Number(process.env.WARM_UPS ?? 2);
const FRAME_BYTES = 20_000;
const FPS = 15;
const EVENTS_PER_SECOND = 30;

const source = await startSource();
const figures: Figure[] = [];

/** Measures the processor time of each delivery in a round of `send`, µs. */
async function round(
  server: Awaited<ReturnType<typeof startServer>>,
  clients: Awaited<ReturnType<typeof startClients>>,
  send: () => Promise<unknown>,
): Promise<{ us: number; deliveries: number }> {
  await clients.reset();
  const before = await server.usage();
  await send();
  await sleep(300);
  const after = await server.usage();
  const { deliveries } = await clients.report();
  return { us: ((after.cpuMs - before.cpuMs) * 1000) / deliveries, deliveries };
}

/** Measures the relay and the bare server in turn, each with clients of its own that stay connected. */
async function versus(
  name: string,
  wanted: number,
  relayed: { ask: Parameters<typeof source.ask>[0]; send: () => Promise<unknown> },
  bare: { bytes: number; everyMs: number; acks: boolean },
): Promise<void> {
  const [relay, plain] = [await startServer('relay', source.env), await startServer('bare')];
  const [watching, listening] = [await startClients(), await startClients()];
  await watching.open({ url: relay.url, ask: await source.ask(relayed.ask), acks: bare.acks }, VIEWERS);
  await listening.open({ url: plain.url, acks: bare.acks }, VIEWERS);
  const seen: { relay: number; bare: number; share: number }[] = [];
  for (let n = -WARM_UPS; n < ROUNDS; n++) {
    const a = await round(relay, watching, relayed.send);
    const b = await round(plain, listening, () =>
      plain.broadcast(bare.bytes, Math.round((SECONDS * 1000) / bare.everyMs), bare.everyMs),
    );
    if (n >= 0) seen.push({ relay: a.us, bare: b.us, share: a.deliveries / wanted });
  }
  await Promise.all([relay, plain, watching, listening].map((child) => child.stop()));
  figures.push(
    {
      name: `${name}: delivered / sent`,
      value: median(seen.map((s) => s.share)),
      unit: '',
      target: { atLeast: 0.99 },
    },
    {
      name: `${name}: processor time a delivery, relay`,
      value: median(seen.map((s) => s.relay)),
      unit: 'µs',
    },
    {
      name: `${name}: processor time a delivery, ws alone`,
      value: median(seen.map((s) => s.bare)),
      unit: 'µs',
    },
    {
      name: `${name}: relay / ws alone`,
      value: median(seen.map((s) => s.relay / s.bare)),
      unit: '×',
      target: { atMost: 1.3 },
    },
  );
}

/** Measures the other viewers with and without one that reads 1 MB/s and one that stopped reading. */
async function measureSlowViewers(): Promise<void> {
  const [bytes, fps, count] = [50_000, 30, 98];
  const relay = await startServer('relay', source.env);
  const [others, slow, stalled] = [await startClients(), await startClients(), await startClients()];
  const ask = await source.ask('screen');
  const open = { url: relay.url, ask, acks: true };
  await others.open(open, count);
  const phase = async () => {
    await others.reset();
    await slow.reset();
    await source.frames(bytes, fps, 2 * SECONDS);
    return { others: await others.report(), slow: await slow.report(), rss: (await relay.usage()).rssMb };
  };
  await phase();
  const without = await phase();
  await slow.open({ ...open, bytesPerSecond: 1e6 }, 1);
  await stalled.open({ ...open, acks: false, bytesPerSecond: 0 }, 1);
  const alongside = [await phase(), await phase()].at(-1) ?? without;
  await Promise.all([relay, others, slow, stalled].map((child) => child.stop()));
  figures.push(
    {
      name: 'frame age of the viewer at 1 MB/s, p50',
      value: alongside.slow.p50,
      unit: 'ms',
      target: { atMost: 500 },
    },
    { name: 'frame age of the viewer at 1 MB/s, p99', value: alongside.slow.p99, unit: 'ms' },
    { name: 'its frames a second', value: alongside.slow.deliveries / (2 * SECONDS), unit: '' },
    { name: 'its keyframes a second', value: alongside.slow.keys / (2 * SECONDS), unit: '' },
    { name: 'frame age of the others, p99, without the two', value: without.others.p99, unit: 'ms' },
    { name: 'frame age of the others, p99, with the two', value: alongside.others.p99, unit: 'ms' },
    {
      name: 'frames of the others, with / without the two',
      value: alongside.others.deliveries / without.others.deliveries,
      unit: '×',
      target: { atLeast: 0.98 },
    },
    {
      name: 'memory, growth with the two',
      value: alongside.rss - without.rss,
      unit: 'MB',
      target: { atMost: 32 },
    },
  );
}

const began = clock();
await versus(
  `${VIEWERS} viewers, ${FRAME_BYTES / 1000} KB × ${FPS} fps`,
  VIEWERS * FPS * SECONDS,
  { ask: 'screen', send: () => source.frames(FRAME_BYTES, FPS, SECONDS) },
  { bytes: FRAME_BYTES, everyMs: 1000 / FPS, acks: true },
);
await versus(
  `a JSON event to ${VIEWERS} sockets`,
  VIEWERS * EVENTS_PER_SECOND * SECONDS,
  { ask: 'job', send: () => source.events(EVENTS_PER_SECOND, SECONDS) },
  { bytes: 0, everyMs: 1000 / EVENTS_PER_SECOND, acks: false },
);
await measureSlowViewers();
await source.stop();
const met = report(`The relay (${Math.round(Number(clock() - began) / 1e9)} s)`, figures);
process.exit(met ? 0 : 1);
