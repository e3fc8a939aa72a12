import type { Logger } from '@warmwind/shared/runtime/node/log';
import { connectFailFast } from '@warmwind/shared/runtime/node/redis';
import { type ChainableCommander, type Redis, ReplyError } from 'ioredis';
import type { Command } from './command.ts';
import type { Limits } from './config.ts';
import { GatewayError } from './failure.ts';

/**
 * The one connection that all requests share. RESP2, because its replies have the shapes of Upstash's;
 * integers arrive as text, with all their digits.
 */
export function connectRedis(url: string, log: Logger, limits: Limits): Redis {
  return connectFailFast(url, 'gateway', log, limits.commandMs, { protocol: 2, stringNumbers: true });
}

/** The result of a command: Redis's reply, or the error that it reports for this command alone. */
export type Replied = { reply: unknown } | { error: string };

/** @throws GatewayError with Redis's own error, or because Redis did not answer */
export async function executeOne(redis: Redis, command: Command): Promise<unknown> {
  const reply = await redis.callBuffer(command.name, ...command.args).catch(rethrow);
  return command.reply ?? reply;
}

/**
 * Runs commands in order, in one write; commands of other requests may run between them. Refused ones keep
 * their place.
 */
export async function executePipeline(
  redis: Redis,
  commands: (Command | GatewayError)[],
): Promise<Replied[]> {
  const accepted = commands.filter((command): command is Command => !(command instanceof GatewayError));
  const outcomes = (await run(redis.pipeline(), accepted)).values();
  return commands.map((command) => {
    if (command instanceof GatewayError) return { error: command.message };
    return outcomes.next().value ?? { error: 'ERR no answer' };
  });
}

/**
 * Runs commands as MULTI … EXEC in one write, so that no other command runs between them; all or, on a
 * refused one, none.
 */
export function executeTransaction(redis: Redis, commands: Command[]): Promise<Replied[]> {
  return run(redis.multi(), commands);
}

async function run(batch: ChainableCommander, commands: Command[]): Promise<Replied[]> {
  for (const command of commands) batch.callBuffer(command.name, ...command.args);
  const results = (await batch.exec().catch(rethrow)) ?? [];
  return results.map(([error, reply], index): Replied => {
    if (error === null || error === undefined) return { reply: commands[index]?.reply ?? reply };
    const failure = failureOf(error);
    if (failure.outcome !== 'redis_error') throw failure;
    return { error: failure.message };
  });
}

/** Throws an error of Redis or of its connection as a `GatewayError`. */
export function rethrow(error: unknown): never {
  throw failureOf(error);
}

/** Any rejection of ioredis that is not Redis's own error means that Redis did not answer. */
function failureOf(error: unknown): GatewayError {
  const message = error instanceof Error ? error.message : '';
  if (error instanceof Error && error instanceof ReplyError)
    return new GatewayError('redis_error', withCause(error));
  if (message === 'Command timed out') {
    return new GatewayError('timeout', 'ERR Redis did not answer in time; the command may still be executed');
  }
  if (message.startsWith("Stream isn't writeable") || message === 'Connection is closed.') {
    return new GatewayError('unavailable', 'ERR Redis is unavailable; nothing was executed, retry later');
  }
  return new GatewayError(
    'unavailable',
    'ERR lost the connection to Redis; the command may have been executed',
  );
}

/**
 * Redis discards a transaction without a reason; the reason is the error of the command that it did not
 * queue.
 */
function withCause(error: Error & { previousErrors?: Error[] }): string {
  const cause = error.previousErrors?.[0]?.message;
  return cause === undefined ? error.message : `${error.message} ${cause}`;
}
