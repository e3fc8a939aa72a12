import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Script } from '../../engine/script.ts';

const hashes = new Map<string, string>();

/** The SHA-1 by which Redis knows a script. */
function hashOf(lua: string): string {
  const known = hashes.get(lua);
  if (known) return known;
  const hash = createHash('sha1').update(lua).digest('hex');
  hashes.set(lua, hash);
  return hash;
}

/**
 * Runs a script in one trip; in two when Redis does not know it yet.
 * @param rest the values after the named arguments
 * @throws ZodError when an argument or the answer is not as the script defines it
 */
export async function runScript<Subject, Args, Answer>(
  redis: Redis,
  script: Script<Subject, Args, Answer>,
  subject: Subject,
  args: Args,
  rest?: readonly (string | number)[],
): Promise<Answer> {
  const call = script.call(subject, args, rest);
  const tail = [call.keys.length, ...call.keys, ...call.args] as const;
  try {
    return script.read(await redis.evalsha(hashOf(script.lua), ...tail));
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('NOSCRIPT')) throw error;
    return script.read(await redis.eval(script.lua, ...tail));
  }
}
