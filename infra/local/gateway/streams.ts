import type { Redis } from 'ioredis';
import type { Limits } from './config.ts';
import { rethrow } from './execute.ts';
import { GatewayError } from './failure.ts';
import { EventStream } from './stream.ts';

/** The kinds of streams, each with a connection to Redis of its own. */
export type Listening = { kind: 'subscribe' | 'psubscribe' | 'monitor'; names: string[] };

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store',
  // Reuse after a stream is pointless, and would delay the server's shutdown.
  Connection: 'close',
};

/** The streams that are open here: a bounded number, each bounded in bytes and time. */
export class EventStreams {
  readonly #redis: Redis;
  readonly #limits: Limits;
  readonly #open = new Set<{ kind: Listening['kind']; close: () => void }>();
  #closed = false;

  /** @param redis the connection whose settings the new connections copy */
  constructor(redis: Redis, limits: Limits) {
    this.#redis = redis;
    this.#limits = limits;
  }

  get count(): number {
    return this.#open.size;
  }

  /**
   * Subscribes, and resolves once Redis has confirmed it.
   * @param close closes the client's connection
   * @throws GatewayError
   */
  async open(listening: Listening, close: () => void): Promise<Response> {
    this.#check(listening);
    const connection = this.#redis.duplicate({
      lazyConnect: true,
      monitor: listening.kind === 'monitor',
      // A stream ends with its connection, so that its client notices the gap.
      retryStrategy: () => null,
      // No time-out: a channel may be silent.
      socketTimeout: undefined,
      connectTimeout: this.#limits.commandMs,
    });
    connection.on('error', () => undefined);
    const opened = { kind: listening.kind, close: () => stream.close() };
    const stream = new EventStream({
      backlogBytes: this.#limits.streamBytes,
      lifeMs: this.#limits.streamMs,
      close,
      onEnd: () => {
        this.#open.delete(opened);
        connection.disconnect();
      },
    });
    this.#open.add(opened);
    connection.once('end', opened.close);
    try {
      if (listening.kind === 'monitor') await monitor(connection, stream);
      else await subscribe(connection, stream, listening);
    } catch (error) {
      opened.close();
      rethrow(error);
    }
    return new Response(stream.body, { headers: HEADERS });
  }

  /** Ends all streams, and opens no more. */
  close(): void {
    this.#closed = true;
    for (const { close } of this.#open) close();
  }

  #check({ kind, names }: Listening): void {
    if (this.#closed) throw new GatewayError('unavailable', 'ERR the gateway is going down; ask again');
    const { streams, monitors, names: most } = this.#limits;
    if (kind === 'monitor' ? names.length > 0 : names.length === 0 || names.includes('')) {
      throw new GatewayError('refused', `ERR wrong number of arguments for '${kind}'`);
    }
    if (names.length > most) throw new GatewayError('refused', `ERR at most ${most} names are accepted`);
    const monitoring = [...this.#open].filter((open) => open.kind === 'monitor').length;
    if (this.#open.size >= streams || (kind === 'monitor' && monitoring >= monitors)) {
      throw new GatewayError('overloaded', 'ERR too many streams at once; close one or retry later');
    }
  }
}

async function subscribe(connection: Redis, stream: EventStream, { kind, names }: Listening): Promise<void> {
  let confirmed = false;
  const early: string[] = [];
  const receive = (text: string) => (confirmed ? stream.send(text) : void early.push(text));
  connection.on('messageBuffer', (channel: Buffer, message: Buffer) =>
    receive(`message,${channel},${message}`),
  );
  connection.on('pmessageBuffer', (pattern: string, channel: Buffer, message: Buffer) =>
    receive(`pmessage,${pattern},${channel},${message}`),
  );
  await connection.connect();
  await connection[kind === 'subscribe' ? 'subscribe' : 'psubscribe'](...names);
  for (const [i, name] of names.entries()) stream.send(`${kind},${name},${i + 1}`);
  confirmed = true;
  for (const text of early) stream.send(text);
}

async function monitor(connection: Redis, stream: EventStream): Promise<void> {
  connection.on('monitor', (time: string, args: string[], source: string, database: string) => {
    const quoted = args.map((arg) => `"${arg.replaceAll('"', '\\"')}"`);
    stream.send(`${time} [${database} ${source}] ${quoted.join(' ')}`);
  });
  await new Promise<void>((resolve, reject) => {
    connection.once('monitoring', resolve);
    connection.on('error', reject);
    connection.once('end', () => reject(new Error('Connection is closed.')));
    connection.connect().catch(reject);
  });
  stream.send('"OK"');
}
