import { changesLua } from './changes.lua.ts';

/**
 * Cancels a run, whether it waits or is worked on: this is its end, in one step with the news for those who work on it.
 * They find out by the record as well, should the news not reach them. The desktop of a start is on its way out from here.
 *
 * KEYS: job, open jobs, changes, input. ARGV: user, job id, TTL of an ended record in ms, TTL of an open one, bound of the
 * changes, channel. → `CancelVerdict` as JSON.
 */
export const cancelScript = /* lua */ `${changesLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'run', 'kind', 'containerId')
local state, run, kind, container_id = f[1], f[2], f[3], f[4] or ''
if not state then return cjson.encode({verdict = 'not_found'}) end
if state == 'completed' or state == 'failed' or state == 'cancelled' or state == 'timed_out' then
  return cjson.encode({verdict = 'ended', state = state})
end
if kind == 'container.stop' then return cjson.encode({verdict = 'uncancellable'}) end
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'finishedAt', now)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[4], ARGV[3])
local verdict = {verdict = 'cancelled', job = {seq = changed(KEYS[3], 'job', KEYS[1], ARGV[5]), record = record_of(KEYS[1])}}
if kind == 'container.start' then
  local container = string.match(KEYS[1], '^[^}]*}:') .. 'container:' .. container_id
  local was = redis.call('HGET', container, 'state')
  if was and was ~= 'stopping' and was ~= 'stopped' and was ~= 'failed' and was ~= 'lost' then
    redis.call('HSET', container, 'state', 'stopping')
    redis.call('PEXPIRE', container, ARGV[4])
    verdict.container = {seq = changed(KEYS[3], 'container', container, ARGV[5]), record = record_of(container)}
  end
end
redis.call('PUBLISH', ARGV[6], cjson.encode({userId = ARGV[1], jobId = ARGV[2], run = tonumber(run), kind = kind, containerId = container_id}))
return cjson.encode(verdict)
`;
