import { createServer, type ListenOptions, type Server } from 'node:net';

/**
 * A port that is kept for a part: no other program gets it until `release`, which the part's start calls, and no other
 * stack as long as this process lives.
 */
export type ReservedPort = { port: number; release: () => Promise<void> };

/** The usual port of a part, and the variable that chooses another. */
export const USUAL_PORTS = {
  EDGE_PORT: 8787,
  RELAY_PORT: 8788,
  EDGE_DIRECT_PORT: 8789,
  GATEWAY_PORT: 8790,
  RELAY_1_PORT: 8791,
  RELAY_2_PORT: 8792,
  WORKER_1_PORT: 8795,
  WORKER_2_PORT: 8796,
  WORKER_1_ADMIN_PORT: 8797,
  WORKER_2_ADMIN_PORT: 8798,
  MODEL_SERVER_PORT: 8799,
  REDIS_QUEUE_PORT: 6380,
  REDIS_REALTIME_PORT: 6381,
  LEDGER_PORT: 5433,
  POOLER_PORT: 6432,
} as const;
export type PortName = keyof typeof USUAL_PORTS;
export type Ports = Record<PortName, ReservedPort>;

/** Below the range from which the kernel takes ports of outgoing connections (32768 and up). */
const FREE_FROM = 10_000;
const FREE_TO = 32_000;

/**
 * Reserves a port for every part on 127.0.0.1: the chosen one, else the usual one, else any free one.
 * @throws Error when the chosen one is taken
 */
export async function reservePorts(chosen: Partial<Record<PortName, number>>): Promise<Ports> {
  const reserved: Partial<Ports> = {};
  for (const name of Object.keys(USUAL_PORTS) as PortName[]) {
    reserved[name] = await reserve(name, chosen[name]);
  }
  return reserved as Ports;
}

async function reserve(name: PortName, chosen: number | undefined): Promise<ReservedPort> {
  if (chosen !== undefined) {
    const port = await hold(chosen);
    if (port) return port;
    throw new Error(`${name}=${chosen} is taken: choose another port, or leave ${name} out`);
  }
  let port = await hold(USUAL_PORTS[name]);
  for (let attempt = 0; !port && attempt < 100; attempt++) {
    port = await hold(FREE_FROM + Math.floor(Math.random() * (FREE_TO - FREE_FROM)));
  }
  if (!port) throw new Error(`no free port for ${name}: choose one with ${name}=<port>`);
  return port;
}

/** @returns `undefined` when another program has the port or another stack has claimed it */
async function hold(port: number): Promise<ReservedPort | undefined> {
  // Held from now on: a part that starts (again) leaves its port free for a while, and another stack would
  // take it.
  const claim = await listen({ path: `\0warmwind-port-${port}` });
  if (!claim) return undefined;
  const server = await listen({ port, host: '127.0.0.1' });
  if (!server) {
    claim.close();
    return undefined;
  }
  return { port, release: () => new Promise((done) => server.close(() => done())) };
}

/** @param address a path that begins with a null byte is a name of Linux that ends with its process, without a file */
function listen(address: ListenOptions): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined));
    server.listen(address, () => resolve(server.unref()));
  });
}
