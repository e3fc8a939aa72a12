import {
  findSessionCommand,
  SESSION_COMMANDS,
  type SessionKind,
} from '@warmwind/shared/contract/sessions/registry';
import { sessionKeys } from '@warmwind/shared/engine/keys';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectFailFast, connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { connect } from '../../shared/client/client.ts';
import type { SessionHandler } from '../../workers/sessions/handler.ts';
import { SessionHost, type SessionHostOptions } from '../../workers/sessions/host.ts';
import { ticket, type World } from './world.ts';

export const USER = 'ann';
export const KIND: SessionKind = 'container.vnc';

/** A handler that returns the bytes of its client. */
export const echo: SessionHandler = async ({ readable, writable }) => {
  await readable.pipeTo(writable);
  return { inputsDropped: 0 };
};

/**
 * Starts a running container of {@link USER} with the real host of sessions, whose sessions `handler` serves.
 */
export async function startSessionHost(
  world: World,
  handler: SessionHandler,
  options: Partial<SessionHostOptions> = {},
) {
  const log = createLog('test');
  log.level = process.env.LOG_LEVEL ?? 'silent';
  const redis = connectFailFast(world.realtime.url, 'test-sessions', log);
  const subscriber = connectQueueing(world.realtime.url, 'test-sessions-up', log);
  const handlers = {} as SessionHostOptions['handlers'];
  for (const { kind } of SESSION_COMMANDS) handlers[kind] = handler;
  const host = new SessionHost({
    engine: { socketPath: async () => '/nowhere' },
    redis,
    subscriber,
    handlers,
    onUse: () => undefined,
    awake: async () => undefined,
    log,
    ...options,
  });
  const containerId = await world.container(USER, { state: 'running', fence: 3 });
  await waitFor('Redis', () => redis.status === 'ready' && subscriber.status === 'ready');
  host.runs({ userId: USER, containerId }, 'engine', 3);
  await waitFor('the subscription', async () => {
    const [, listeners] = (await redis.call('PUBSUB', 'SHARDNUMSUB', sessionKeys.up(containerId))) as [
      string,
      number,
    ];
    return listeners === 1;
  });
  world.onTidy(async () => {
    await host.close();
    await Promise.all([disconnect(redis), disconnect(subscriber)]);
  });
  return { host, containerId };
}

/** Connects the client of `shared/client` as the owner. */
export function sessionClient(world: World, url: string) {
  const relay = connect({ url, token: () => ticket(USER, { mode: 'control' }) });
  world.onTidy(() => relay.close());
  return relay;
}

/** Finds kinds of sessions, with other bounds. */
export const bounded =
  (bounds: { maxMs?: number; idleMs?: number; maxInputBytes?: number }) => (kind: string) => {
    const command = findSessionCommand(kind);
    return command && { ...command, ...bounds };
  };

/** Bytes that reveal a chunk at a wrong position. */
export const bytesOf = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8) + (index >> 16)) & 255);

export async function readAll(readable: ReadableStream<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of readable) parts.push(part);
  return Buffer.concat(parts);
}

export async function writeAll(writable: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(bytes);
  await writer.close();
}
