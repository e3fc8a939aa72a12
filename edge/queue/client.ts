import { EventEmitter } from 'node:events';
import { truncateText } from '@warmwind/shared/runtime/text';
import type { IRedisClient, IRedisTransaction } from 'bullmq';
import { toRecord } from '../redis/record.ts';
import { COMMANDS } from './commands.ts';
import { Scripts } from './scripts.ts';
import { type Command, RedisError, type Reply, type RestOptions, RestTransport } from './transport.ts';

type Name = keyof typeof COMMANDS;
/** The commands that a client has outside of a transaction. */
type Commands = Pick<IRedisClient, Extract<Name, keyof IRedisClient>>;
type Build = (...args: unknown[]) => Command;

const NAMES = Object.keys(COMMANDS) as Name[];
const build = (name: Name, args: unknown[]): Command => (COMMANDS[name] as Build)(...args);
const read = (name: Name, result: unknown): unknown =>
  name === 'hgetall' ? toRecord((result ?? []) as string[]) : result;

/** Commands that are sent with every script, in its trip, and the receiver of their results. */
export type CompanionCommands = { commands: Command[]; onResults: (results: unknown[]) => void };

/**
 * BullMQ's Redis client over the Upstash REST protocol, for producers: it adds, reads and removes jobs, each
 * in one trip, and can not block, stream or subscribe. There is no connection: the client is always ready,
 * and each call succeeds, or rejects with `QueueUnavailableError` or `RedisError`.
 */
export function createRestClient(options: RestOptions, companions?: CompanionCommands): IRedisClient {
  const transport = new RestTransport(options);
  const scripts = new Scripts();
  const events = new EventEmitter();

  const run = async (script: Command): Promise<unknown> => {
    if (!companions) return transport.command(script);
    const [reply, ...others] = await transport.batch('/pipeline', [script, ...companions.commands]);
    const [error, result] = toTuple(undefined, reply ?? { error: 'no answer' });
    if (error) throw error;
    companions.onResults(others.map((other) => other.result));
    return result;
  };
  const commands = Object.fromEntries(
    NAMES.map((name) => [
      name,
      async (...args: unknown[]) => read(name, await transport.command(build(name, args))),
    ]),
  ) as Commands;
  const client: IRedisClient = Object.assign(events, commands, {
    status: 'ready',
    isCluster: false,
    options: {},

    defineCommand: scripts.define.bind(scripts),
    runCommand: async (name: string, args: unknown[]) => {
      try {
        return await run(scripts.command(name, args, false));
      } catch (error) {
        if (!(error instanceof RedisError) || !error.message.includes('NOSCRIPT')) throw error;
        return run(scripts.command(name, args, true));
      }
    },
    pipeline: () => createBatch(transport, scripts, '/pipeline'),
    multi: () => createBatch(transport, scripts, '/multi-exec'),

    // Saves the trip of the version check: any server of this protocol is newer than BullMQ requires.
    info: async () => 'redis_version:7.0.0\r\nmaxmemory_policy:noeviction\r\n',
    clientSetName: async () => 'OK',
    clientList: async () => '',
    clientInfo: async () => '',
    connect: async () => undefined,
    disconnect: () => close(),
    quit: async () => {
      close();
      return 'OK';
    },
    duplicate: () => producerOnly('duplicate'),
    scanStream: () => producerOnly('scanStream'),
    xread: () => producerOnly('xread'),
    bzpopmin: () => producerOnly('bzpopmin'),
  });
  const close = () => {
    client.status = 'end';
    events.emit('close');
    events.emit('end');
  };
  return client;
}

/**
 * Creates a batch of commands that is sent in one trip. The first use of a script in it carries its source:
 * no script cache is relied on.
 */
function createBatch(
  transport: RestTransport,
  scripts: Scripts,
  path: '/pipeline' | '/multi-exec',
): IRedisTransaction {
  const queued: { name?: Name; command: Command }[] = [];
  const sentScripts = new Set<string>();

  const commands = Object.fromEntries(
    NAMES.map((name) => [
      name,
      (...args: unknown[]) => {
        queued.push({ name, command: build(name, args) });
        return batch;
      },
    ]),
  );
  const batch: object = Object.assign(commands, {
    runCommand: (name: string, args: unknown[]) => {
      queued.push({ command: scripts.command(name, args, !sentScripts.has(name)) });
      sentScripts.add(name);
      return batch;
    },
    exec: async () => {
      if (queued.length === 0) return [];
      const replies = await transport.batch(
        path,
        queued.map(({ command }) => command),
      );
      return queued.map(({ name }, i) => toTuple(name, replies[i] ?? { error: 'no answer' }));
    },
  });
  return batch as IRedisTransaction;
}

function toTuple(name: Name | undefined, { result, error }: Reply): [Error | null, unknown] {
  if (error !== undefined) return [new RedisError(truncateText(error, 200)), null];
  return [null, name ? read(name, result) : result];
}

function producerOnly(what: string): never {
  throw new TypeError(`${what} needs a connection: this client only produces jobs`);
}
