import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { ENDED_CONTAINER_STATES } from '@warmwind/shared/contract/containers';
import { TERMINAL_JOB_STATES } from '@warmwind/shared/contract/jobs';
import type { Envelope, StoredEvent } from '@warmwind/shared/contract/rooms';
import { RELAY_AUDIENCE, type SubscribeAck } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import { listen } from '@warmwind/shared/runtime/node/health';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { SignJWT } from 'jose';
import { io, type Socket } from 'socket.io-client';
import { percentsOf, storedEvent } from '../../infra/quality/testing/events.ts';
import { freePort } from '../../infra/quality/testing/port.ts';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createRelay, type Relay } from '../app.ts';
import { readConfig } from '../config.ts';

export const SECRET = 'a-secret-of-at-least-thirty-two-characters';
export const ORIGIN = 'https://console.example';

/** A relay node in this process. */
export type TestNode = Relay & { url: string };
/** A relay node in its own process, always on the same port. */
export type TestProcess = {
  url: string;
  start: () => Promise<void>;
  /** Resident memory, bytes. */
  rss: () => Promise<number>;
  /** Sends a signal and waits for the exit. @returns the exit code, or the signal that ended it */
  end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<number | string | null>;
};

/** Fields of a job's or desktop's record. */
type TestRecord = Record<string, string | number> & { state?: string; createdAt?: number };

/**
 * Two real Redis servers (only the queue Redis keeps its data over a restart), and the nodes and clients of a
 * test.
 */
export class World {
  readonly queue: TestRedis;
  readonly realtime: TestRedis;
  readonly #ends: (() => unknown)[] = [];

  private constructor(queue: TestRedis, realtime: TestRedis) {
    this.queue = queue;
    this.realtime = realtime;
  }

  /** @param queue an existing server, as `realtime`; a new one if left out */
  static async start(queue?: TestRedis, realtime?: TestRedis): Promise<World> {
    const aof = ['--appendonly', 'yes', '--appendfsync', 'always'];
    return new World(queue ?? (await startRedis(aof)), realtime ?? (await startRedis()));
  }

  /** Ends everything that the current test has started, except the Redis servers. */
  async tidy(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }

  async stop(): Promise<void> {
    await this.tidy();
    await Promise.all([this.queue.stop(), this.realtime.stop()]);
  }

  onTidy(end: () => unknown): void {
    this.#ends.push(end);
  }

  env(): Record<string, string> {
    return {
      REDIS_QUEUE_URL: this.queue.url,
      REDIS_REALTIME_URL: this.realtime.url,
      AUTH_SECRET: SECRET,
      CORS_ORIGINS: ORIGIN,
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'silent',
    };
  }

  /** @param commands the calls that it relays; all calls of the contract if left out */
  async node(
    env: Record<string, string> = {},
    wanted = 0,
    commands?: readonly CallCommand[],
  ): Promise<TestNode> {
    process.env.LOG_LEVEL ??= 'silent';
    const relay = createRelay(readConfig({ ...this.env(), ...env }), createLog('relay'), commands);
    const { server, port } = await listen(relay.http, '127.0.0.1', wanted);
    relay.attach(server);
    this.onTidy(relay.close);
    const url = `http://127.0.0.1:${port}`;
    await isReady(url);
    return { ...relay, url };
  }

  async process(): Promise<TestProcess> {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const main = fileURLToPath(new URL('../main.ts', import.meta.url));
    let child: ChildProcess | undefined;
    const start = async () => {
      const env = { ...process.env, ...this.env(), PORT: `${port}` };
      child = spawn(process.execPath, [main], { env, stdio: 'inherit' });
      await isReady(url);
    };
    const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
      if (!child || child.exitCode !== null || child.signalCode !== null) return null;
      const gone = once(child, 'exit');
      child.kill(signal);
      const [code, by] = (await gone) as [number | null, string | null];
      return code ?? by;
    };
    const rss = async () => {
      const status = await readFile(`/proc/${child?.pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024;
    };
    await start();
    this.onTidy(() => end('SIGKILL'));
    return { url, start, rss, end };
  }

  /** Creates a stock Socket.IO client. It connects at once unless `autoConnect: false`. */
  client(url: string, token: string, options: object = {}): Socket {
    const socket = io(url, {
      transports: ['websocket'],
      forceNew: true,
      reconnection: false,
      auth: { token },
      ...options,
    });
    this.onTidy(() => socket.disconnect());
    return socket;
  }

  /** Creates a job of `user` in the queue Redis. */
  async job(user: string, record: TestRecord = {}): Promise<string> {
    const id = randomUUID();
    const key = keys.job(user, id);
    const fields = {
      id,
      kind: 'container.start',
      state: 'queued',
      run: 1,
      attemptsMade: 0,
      createdAt: Date.now(),
    };
    await this.queue.client.hset(key, { ...fields, ...record });
    await this.#index(keys.jobs(user), keys.openJobs(user), { ...fields, ...record });
    return id;
  }

  async container(user: string, record: TestRecord = {}): Promise<string> {
    const id = randomUUID();
    const fields = { id, state: 'requested', width: 1280, height: 720, createdAt: Date.now(), jobId: 'j' };
    await this.queue.client.hset(keys.container(user, id), { ...fields, ...record });
    await this.#index(keys.containers(user), keys.openContainers(user), { ...fields, ...record });
    return id;
  }

  async #index(all: string, open: string, record: { id: string; state: string; createdAt: number }) {
    const { id, state, createdAt } = record;
    await this.queue.client.zadd(all, createdAt, id);
    const ended: readonly string[] = [...TERMINAL_JOB_STATES, ...ENDED_CONTAINER_STATES];
    if (!ended.includes(state)) await this.queue.client.zadd(open, Date.now() + 3_600_000, id);
  }

  /** Appends to a job's log, and so to its owner's, as a worker does. */
  append(user: string, job: string, ...events: StoredEvent[]): Promise<void> {
    return this.appendTo(`job:${job}`, user, ...events);
  }

  /** Appends to a room's log, and so to its owner's, as a worker does. */
  async appendTo(
    room: `container:${string}` | `job:${string}`,
    user: string,
    ...events: StoredEvent[]
  ): Promise<void> {
    const appends = events.map((event) => ({ event, token: randomUUID() }));
    await appendEvents(this.realtime.client, { userId: user, room }, appends);
  }
}

export const progress = (percent: number): StoredEvent => storedEvent('job.progress', { percent });

/** Signs a relay ticket for `sub`. `expiresIn`: seconds; `iat`: seconds since 1970. */
export async function ticket(
  sub: string,
  claims: {
    aud?: string;
    id?: string;
    containerId?: string;
    credential?: string;
    mode?: 'view' | 'control';
    secret?: string;
    iat?: number | undefined;
    expiresIn?: number;
  } = {},
): Promise<string> {
  const { aud = RELAY_AUDIENCE, id = randomUUID(), secret = SECRET, expiresIn = 600, ...rest } = claims;
  return new SignJWT({ mode: 'view', ...rest })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(sub)
    .setJti(id)
    .setAudience(aud)
    .setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn)
    .sign(new TextEncoder().encode(secret));
}

/** Waits for the connection. @returns the error that refused it */
export const connected = (socket: Socket): Promise<(Error & { data?: { code: string } }) | undefined> =>
  new Promise((resolve) => {
    if (socket.connected) resolve(undefined);
    socket.once('connect', () => resolve(undefined));
    socket.once('connect_error', resolve);
  });

export const subscribe = (socket: Socket, room: string, after?: string): Promise<SubscribeAck> =>
  socket.timeout(8000).emitWithAck('subscribe', after === undefined ? { room } : { room, after });

/** Collects the events that a socket receives from now on, in order. */
export function collect(socket: Socket): Envelope[] {
  const events: Envelope[] = [];
  socket.onAny((_type: string, event: Envelope) => events.push(event));
  return events;
}

export const percents = (events: Envelope[]): number[] => percentsOf(events);

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

/** Reads the value of one sample of a node's metrics. */
export async function metric(url: string, sample: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${sample} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

const isReady = (url: string) =>
  waitFor('the relay to be ready', () =>
    fetch(`${url}/health/ready`).then(
      (r) => r.ok,
      () => false,
    ),
  );
