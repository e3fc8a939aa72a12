import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { startClients, startServer } from '../bench/relay/processes.ts';
import { startSource } from '../bench/relay/source.ts';

/** How long a load runs before counting begins, ms. */
const SETTLE_MS = 400;
/** How long nodes take to unsubscribe for viewers that have gone, ms. */
const UNSUBSCRIBE_MS = 2500;
const WARM_UP = { viewers: 400, fps: 15, frameBytes: 4000, seconds: 8 };

/** Rates a second: CPU in ms, deliveries, and bytes over the viewers' connections; memory of each node. */
export type Taken = { relayMs: number; redisMs: number; deliveries: number; bytes: number; rssMb: number[] };

type Clients = Awaited<ReturnType<typeof startClients>>;
export type Trial = Awaited<ReturnType<typeof startTrial>>;

/** Starts relay nodes, their Redis servers and their clients, each in a process of its own. */
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
    /** Collects garbage and returns the memory of each node. */
    memoryMb: async () => {
      const all = await Promise.all(nodes.map((node) => node.collect()));
      return all.map(({ rssMb }) => rssMb);
    },
    /**
     * Opens `count` clients of each of these desktops on each node.
     * @returns the new clients, for reports of their own
     */
    open: async (what: 'screen' | 'job', count: number, desktops: number[]) => {
      const some = await startClients();
      clients.push(some);
      for (const { url } of nodes)
        for (const n of desktops) {
          await some.open({ url, ask: await source.ask(what, n), acks: what === 'screen' }, count);
        }
      return some;
    },
    /** Measures `seconds` of a load after it has settled; counts the deliveries to the clients `of`. */
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
    /**
     * Starts `count` subscribers of a desktop that are not relays, each a process.
     * @returns a function that ends them
     */
    subscribe: (n: number, count: number): (() => void) => {
      const ask = ['redis-cli', '-p', `${source.realtime.port}`, 'SSUBSCRIBE', source.channel(n)];
      const readers = Array.from({ length: count }, () => spawnBound(ask));
      return () => {
        for (const reader of readers) reader.kill('SIGKILL');
      };
    },
    /** Runs a temporary crowd, so that the code is compiled. */
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
      await sleep(UNSUBSCRIBE_MS);
    },
    stop: async () => {
      await Promise.all([...nodes, ...clients].map((child) => child.stop()));
      await source.stop();
    },
  };
}

/** Spawns a process that the kernel ends with this one. */
const spawnBound = (command: string[]) =>
  spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { stdio: 'ignore' });

/** @returns processor time of a Redis server since its start, ms */
function redisMs(info: string): number {
  const seconds = (of: string) => Number(new RegExp(`used_cpu_${of}:([\\d.]+)`).exec(info)?.[1]);
  return (seconds('sys') + seconds('user')) * 1000;
}
