import { z } from 'zod';
import { defineScript } from '../script.ts';

/**
 * Restores a record that Redis has lost, or that is older than the ledger's (a fence below the given one),
 * with its entries in its owner's indices.
 * KEYS: record, index (all), index (open). ARGV: id, created at in ms, fence below which it is overwritten,
 * TTL in ms, outstanding until in ms ('' when it has ended), then pairs of field and value.
 * Returns {'restored'} · {'kept'}.
 */
const restoreScript = /* lua */ `
local known = redis.call('HGET', KEYS[1], 'fence')
if known and tonumber(known) >= tonumber(ARGV[3]) then return {'kept'} end
redis.call('HDEL', KEYS[1], 'result', 'error', 'startedAt', 'finishedAt', 'endReason', 'warm', 'usedAt', 'pausedBy', 'exit')
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[5] == '' then redis.call('ZREM', KEYS[3], ARGV[1]) else redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1]) end
return {'restored'}
`;

export const restoreRecord = defineScript({
  lua: restoreScript,
  keys: (of: { record: string; all: string; open: string }) => [of.record, of.all, of.open],
  args: z.object({
    id: z.string(),
    createdAt: z.number(),
    below: z.number(),
    ttlMs: z.number(),
    until: z.number().or(z.literal('')),
  }),
  answer: z.tuple([z.enum(['restored', 'kept'])]),
});
