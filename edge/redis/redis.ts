import { Redis } from '@upstash/redis/cloudflare';
import type { Script } from '@warmwind/shared/engine/script';
import type { Config } from '../config.ts';

/**
 * Creates a client of the queue Redis over the Upstash REST protocol: one command is one trip, tried once,
 * and rejects after `timeoutMs`. Answers are Redis's own (strings stay strings, a hash is a flat list).
 */
export const createRedis = (config: Config, timeoutMs: number): Redis =>
  new Redis({
    url: config.UPSTASH_REDIS_REST_URL,
    token: config.UPSTASH_REDIS_REST_TOKEN,
    signal: () => AbortSignal.timeout(timeoutMs),
    // `retry: false` would still try twice.
    retry: { retries: 0 },
    responseEncoding: false,
    automaticDeserialization: false,
    // Auto-pipelining would put commands of several requests into one trip, which the runtime forbids.
    enableAutoPipelining: false,
    readYourWrites: false,
    enableTelemetry: false,
  });

type Scriptable = {
  createScript: (lua: string) => { exec: (keys: string[], args: string[]) => Promise<unknown> };
};

/** Runs one script, in one trip once Redis has cached it. All arguments are sent as text. */
export type PreparedScript<Of> =
  Of extends Script<infer Subject, infer Args, infer Answer>
    ? (subject: Subject, args: Args, rest?: string[]) => Promise<Answer>
    : never;

/** Prepares a script on one connection: EVALSHA, and EVAL when Redis has not cached it yet. */
export function prepareScript<Subject, Args, Answer>(
  redis: Scriptable,
  script: Script<Subject, Args, Answer>,
): (subject: Subject, args: Args, rest?: string[]) => Promise<Answer> {
  const prepared = redis.createScript(script.lua);
  return async (subject, args, rest) => {
    const call = script.call(subject, args, rest);
    return script.read(await prepared.exec(call.keys, call.args));
  };
}
