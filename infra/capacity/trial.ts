import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { screenKeys } from '@warmwind/shared/screen';
import { startClients, startServer } from '../bench/relay/processes.ts';
import { startSource } from '../bench/relay/source.ts';

/** Before counting: the load has its pace. */
const SETTLE_MS = 400;

/** Each a second of the time in which it was counted. CPU in ms; bytes: over the viewers' connections. */
export type Taken = { relayMs: number; redisMs: number; deliveries: number; bytes: number; rssMb: number[] };

type Clients = Awaited<ReturnType<typeof startClients>>;
export type Trial = Awaited<ReturnType<typeof startTrial>>;

/** Relay nodes, their Redis servers and their clients, each a process of its own. */
export async function startTrial(setting: { nodes: number; desktops: number }) {
  const source = await startSource(setting.desktops);
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
    /** As many more subscribers of a desktop, that are no relays; → ends them. */
    subscribe: async (n: number, count: number): Promise<() => void> => {
      const ask = await source.ask('screen', n);
      const channel = screenKeys.down(ask?.argument.containerId ?? '');
      const sockets = Array.from({ length: count }, () => {
        const socket = connect(source.realtime.port, '127.0.0.1').resume();
        socket.write(`SSUBSCRIBE ${channel}\r\n`);
        return socket;
      });
      return () => {
        for (const socket of sockets) socket.destroy();
      };
    },
    stop: async () => {
      await Promise.all([...nodes, ...clients].map((child) => child.stop()));
      await source.stop();
    },
  };
}

/** Of a Redis server so far. */
function redisMs(info: string): number {
  const seconds = (of: string) => Number(new RegExp(`used_cpu_${of}:([\\d.]+)`).exec(info)?.[1]);
  return (seconds('sys') + seconds('user')) * 1000;
}
