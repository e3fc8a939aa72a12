import { changesLua } from './changes.lua.ts';

/**
 * A worker takes a run: the record becomes `active` under a new fence, and whoever held the old one is stale from here.
 * KEYS: job, open jobs, changes. ARGV: run, now in ms, attempts made, open TTL in ms, outstanding until in ms, bound of
 * the changes. → {'ok', fence} · {'ended', state} · {'stale', run} · {'gone'}.
 */
export const claimJobScript = /* lua */ `${changesLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'run', 'startedAt', 'id')
if not f[1] then return {'gone'} end
if f[2] ~= ARGV[1] then return {'stale', f[2]} end
if f[1] == 'completed' or f[1] == 'failed' or f[1] == 'cancelled' or f[1] == 'timed_out' then return {'ended', f[1]} end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'state', 'active', 'attemptsMade', ARGV[3])
if not f[3] then redis.call('HSET', KEYS[1], 'startedAt', ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if redis.call('ZSCORE', KEYS[2], f[4]) then redis.call('ZADD', KEYS[2], ARGV[5], f[4]) end
changed(KEYS[3], 'job', KEYS[1], ARGV[6])
return {'ok', tostring(fence)}
`;

/**
 * A run changes: progress, back to waiting, or its one end. The first terminal state stands.
 * KEYS: job, open jobs, changes. ARGV: fence ('' for who acts for a dead holder), run, TTL in ms, bound of the changes,
 * then pairs of field and value (`state` among them when it changes). → {'ok'} · {'ended', state} · {'stale'} · {'gone'}.
 */
export const changeJobScript = /* lua */ `${changesLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'fence', 'run', 'id')
if not f[1] then return {'gone'} end
if f[3] ~= ARGV[2] then return {'stale'} end
local function ended(state)
  return state == 'completed' or state == 'failed' or state == 'cancelled' or state == 'timed_out'
end
if ended(f[1]) then return {'ended', f[1]} end
if ARGV[1] ~= '' and ARGV[1] ~= f[2] then return {'stale'} end
local new_state
for i = 5, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  if ARGV[i] == 'state' then new_state = ARGV[i + 1] end
end
if new_state and ended(new_state) then redis.call('ZREM', KEYS[2], f[4]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if new_state then changed(KEYS[3], 'job', KEYS[1], ARGV[4]) end
return {'ok'}
`;
