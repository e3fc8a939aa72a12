import { z } from 'zod';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';
import { changesLua } from './changes.lua.ts';
import { statesLua } from './states.lua.ts';

/** Bound of a user's changes; '' without a ledger. */
const MaxChanges = z.number().or(z.literal(''));
type Job = { userId: string; jobId: string };

/**
 * Takes a run for a worker: the record becomes `active` under a new fence, and the holder of the old fence is
 * stale from then on. The short reservations of the submission are extended, unless they have expired, and
 * its records are kept.
 * KEYS: job, open jobs, changes, open containers, input. ARGV: run, now in ms, attempts made, open TTL in ms,
 * outstanding until in ms, bound of the changes, prefix of containers.
 * Returns {'ok', fence, time-out in ms ('' or 0: the usual), '1' when it has a webhook, how earlier runs
 * ended} · {'ended', state} · {'stale', run} · {'gone'}.
 */
const claimJobScript = /* lua */ `${changesLua}${statesLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'run', 'startedAt', 'id', 'timeoutMs', 'webhookUrl', 'ends',
  'containerId', 'containerIds')
if not f[1] then return {'gone'} end
if f[2] ~= ARGV[1] then return {'stale', f[2]} end
if is_terminal(f[1]) then return {'ended', f[1]} end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HDEL', KEYS[1], 'waiting')
redis.call('HSET', KEYS[1], 'state', 'active', 'attemptsMade', ARGV[3], 'startedAt', f[3] or ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], 'XX', ARGV[5], f[4])
for _, id in ipairs(f[9] and cjson.decode(f[9]) or {f[8] or ''}) do
  redis.call('ZADD', KEYS[4], 'XX', ARGV[5], id)
  redis.call('PEXPIRE', ARGV[7] .. id, ARGV[4], 'GT')
end
redis.call('PEXPIRE', KEYS[5], ARGV[4], 'GT')
changed(KEYS[3], 'job', KEYS[1], ARGV[6])
return {'ok', tostring(fence), f[5] or '', (f[6] and f[6] ~= '') and '1' or '', f[7] or ''}
`;

export const claimJob = defineScript({
  lua: claimJobScript,
  keys: ({ userId, jobId }: Job) => [
    keys.job(userId, jobId),
    keys.openJobs(userId),
    keys.changes(userId),
    keys.openContainers(userId),
    keys.input(userId, jobId),
  ],
  args: z.object({
    run: z.number(),
    now: z.number(),
    attemptsMade: z.number(),
    openTtlMs: z.number(),
    until: z.number(),
    maxChanges: MaxChanges,
    containerPrefix: z.string(),
  }),
  answer: z.union([
    z.tuple([z.literal('ok'), z.string(), z.string(), z.enum(['1', '']), z.string()]),
    z.tuple([z.enum(['ended', 'stale']), z.string()]),
    z.tuple([z.literal('gone')]),
  ]),
});

/**
 * Changes a run: its progress, back to waiting, or its end. The first terminal state stands. The input of a
 * job is kept while the job may be retried.
 * KEYS: job, open jobs, changes, input. ARGV: fence ('' for a process that acts for a dead holder), run, TTL
 * in ms, bound of the changes, then pairs of field and value (`state` among them when it changes).
 * Returns {'ok', '1' when it has a webhook, fence, attempts made} · {'ended', state} · {'stale'} · {'gone'}.
 */
const changeJobScript = /* lua */ `${changesLua}${statesLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'fence', 'run', 'id', 'webhookUrl')
if not f[1] then return {'gone'} end
if f[3] ~= ARGV[2] then return {'stale'} end
if is_terminal(f[1]) then return {'ended', f[1]} end
if ARGV[1] ~= '' and ARGV[1] ~= f[2] then return {'stale'} end
local new_state
for i = 5, #ARGV, 2 do
  if ARGV[i] == 'state' then new_state = ARGV[i + 1] end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
if is_terminal(new_state) then
  redis.call('HDEL', KEYS[1], 'waiting')
  redis.call('ZREM', KEYS[2], f[4])
  if new_state == 'completed' then redis.call('UNLINK', KEYS[4]) else redis.call('PEXPIRE', KEYS[4], ARGV[3]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if new_state then changed(KEYS[3], 'job', KEYS[1], ARGV[4]) end
return {'ok', (f[5] and f[5] ~= '') and '1' or '', f[2], redis.call('HGET', KEYS[1], 'attemptsMade') or '0'}
`;

export const changeJob = defineScript({
  lua: changeJobScript,
  keys: ({ userId, jobId }: Job) => [
    keys.job(userId, jobId),
    keys.openJobs(userId),
    keys.changes(userId),
    keys.input(userId, jobId),
  ],
  args: z.object({
    fence: z.number().optional(),
    run: z.number(),
    ttlMs: z.number(),
    maxChanges: MaxChanges,
  }),
  answer: z.union([
    z.tuple([z.literal('ok'), z.enum(['1', '']), z.string(), z.string()]),
    z.tuple([z.literal('ended'), z.string()]),
    z.tuple([z.enum(['stale', 'gone'])]),
  ]),
});
