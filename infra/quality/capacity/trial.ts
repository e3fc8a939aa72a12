import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { startClients, startServer } from '../bench/relay/processes.ts';
import { startSource } from '../bench/relay/source.ts';

/** Before counting: the load has its pace. */
const SETTLE_MS = 400;
/** A node unwatches for who has gone, which Redis is told. */
const GOODBYES_MS = 2500;
const WARM_UP = { viewers: 400, fps: 15, frameBytes: 4000, seconds: 8 };

/** Each a second of the time in which it was counted. CPU in ms; bytes: over the viewers' connections. */
export type Taken = { relayMs: number; redisMs: number; deliveries: number; bytes: number; rssMb: number[] };

type Clients = Awaited<ReturnType<typeof startClients>>;
export type Trial = Awaited<ReturnType<typeof startTrial>>;

/** Relay nodes, their Redis servers and their clients, each a process of its own. */
export async function startTrial(setting: { nodes: number; desktops: number }) {
  const spare = setting.desktops;
  const source = await startSource(spare + 1);
  const nodes = await Promise.all(
    Array.from({ length: setting.nodes }, () => startServer('relay', source.env)),
  );
  const clients: Clients[] = [];

  const usage = async () => {
    const all = await Promise.all(nodes.map((node) => node.usage()));
    return {
      at: performance.now(),
      relayMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
      redisMs: redisMs(await source.realtime.client.info('cpu')),
      rssMb: all.map(({ rssMb }) => rssMb),
    };
  };

  return {
    source,
    usage,
    /** Of each node, without garbage. */
    memoryMb: async () => {
      const all = await Promise.all(nodes.map((node) => node.collect()));
      return all.map(({ rssMb }) => rssMb);
    },
    /** So many of each of these desktops on each node; → ask them alone. */
    open: async (what: 'screen' | 'job', count: number, desktops: number[]) => {
      const some = await startClients();
      clients.push(some);
      for (const { url } of nodes)
        for (const n of desktops) {
          await some.open({ url, ask: await source.ask(what, n), acks: what === 'screen' }, count);
        }
      return some;
    },
    /** What so many seconds of a load take, once it has its pace; `of` are asked what came. */
    measure: async (
      seconds: number,
      send: (seconds: number) => Promise<unknown>,
      of = clients,
    ): Promise<Taken> => {
      const sent = send(seconds + (2 * SETTLE_MS) / 1000);
      await sleep(SETTLE_MS);
      await Promise.all(of.map((one) => one.reset()));
      const before = await usage();
      await sleep(seconds * 1000);
      const reports = await Promise.all(of.map((one) => one.report()));
      const after = await usage();
      await sent;
      const took = (after.at - before.at) / 1000;
      const total = (name: 'deliveries' | 'bytes') => reports.reduce((sum, report) => sum + report[name], 0);
      return {
        relayMs: (after.relayMs - before.relayMs) / took,
        redisMs: (after.redisMs - before.redisMs) / took,
        deliveries: total('deliveries') / took,
        bytes: total('bytes') / took,
        rssMb: after.rssMb,
      };
    },
    /** So many more subscribers of a desktop that are no relays, each a process as a relay is; → ends them. */
    subscribe: (n: number, count: number): (() => void) => {
      const ask = ['redis-cli', '-p', `${source.realtime.port}`, 'SSUBSCRIBE', source.channel(n)];
      const readers = Array.from({ length: count }, () => untilWeEnd(ask));
      return () => {
        for (const reader of readers) reader.kill('SIGKILL');
      };
    },
    /** For the just-in-time compiler: a crowd that is gone again. */
    warmUp: async () => {
      const crowd = await startClients();
      for (const { url } of nodes) {
        await crowd.open(
          { url, ask: await source.ask('screen', spare), acks: true },
          WARM_UP.viewers / nodes.length,
        );
        await crowd.open({ url, ask: await source.ask('job', spare), acks: false }, 20);
      }
      await Promise.all([
        source.frames(WARM_UP.frameBytes, WARM_UP.fps, WARM_UP.seconds, [spare]),
        source.events(20, WARM_UP.seconds, [spare]),
      ]);
      await crowd.stop();
      await sleep(GOODBYES_MS);
    },
    stop: async () => {
      await Promise.all([...nodes, ...clients].map((child) => child.stop()));
      await source.stop();
    },
  };
}

/** The kernel ends it with this process. */
const untilWeEnd = (command: string[]) =>
  spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { stdio: 'ignore' });

/** Of a Redis server so far. */
function redisMs(info: string): number {
  const seconds = (of: string) => Number(new RegExp(`used_cpu_${of}:([\\d.]+)`).exec(info)?.[1]);
  return (seconds('sys') + seconds('user')) * 1000;
}
