import { z } from 'zod';
import { submitKeys } from '../records.ts';
import { defineScript } from '../script.ts';

/**
 * Deletes the records that the submit script has just written for a submission that turned out to repeat
 * another, unless a worker has taken the job. The idempotency key is deleted too.
 * KEYS: as the submit script's after the limiter's scopes: idempotency, job, jobs, open jobs, containers,
 * open containers, input. ARGV: job id, prefix of containers, then the ids of the containers that the job
 * creates. Returns {'ok'} or {'kept'}.
 */
const withdrawScript = /* lua */ `
if redis.call('HGET', KEYS[2], 'fence') ~= '0' then return {'kept'} end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[7])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
for i = 3, #ARGV do
  redis.call('DEL', ARGV[2] .. ARGV[i])
  redis.call('ZREM', KEYS[5], ARGV[i])
  redis.call('ZREM', KEYS[6], ARGV[i])
end
return {'ok'}
`;

export const withdrawJob = defineScript({
  lua: withdrawScript,
  keys: (of: { userId: string; jobId: string; idempotencyHash?: string | undefined }) =>
    submitKeys(of.userId, [], of),
  args: z.object({ jobId: z.string(), containerPrefix: z.string() }),
  answer: z.tuple([z.enum(['ok', 'kept'])]),
});
