import { z } from 'zod';
import { jsonText } from '../../runtime/json.ts';
import { CancelVerdict, cancelKeys } from '../records.ts';
import { defineScript } from '../script.ts';
import { changesLua } from './changes.lua.ts';
import { statesLua } from './states.lua.ts';

/**
 * Cancels a run, whether it waits or is active: records its end and publishes it to the workers in one step.
 * Workers that miss the message see the record. The containers that the job creates enter `stopping` in
 * the same step.
 *
 * KEYS: job, open jobs, changes, input. ARGV: user, job id, TTL of an ended record in ms, TTL of an open one,
 * bound of the changes, channel, `CANCEL_PLANS` as JSON, prefix of containers. Returns `CancelVerdict` as
 * JSON.
 */
export const cancelScript = /* lua */ `${changesLua}${statesLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'run', 'kind', 'containerId', 'containerIds')
local state, run, kind, container_id = f[1], f[2], f[3], f[4] or ''
if not state then return cjson.encode({verdict = 'not_found'}) end
if is_terminal(state) then
  return cjson.encode({verdict = 'ended', state = state})
end
local plan = cjson.decode(ARGV[7])[kind]
if not plan or not plan.cancellable then return cjson.encode({verdict = 'uncancellable'}) end
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'finishedAt', now)
redis.call('HDEL', KEYS[1], 'waiting')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[4], ARGV[3])
local verdict = {verdict = 'cancelled', job = {seq = changed(KEYS[3], 'job', KEYS[1], ARGV[5]), record = record_of(KEYS[1])}}
local made = plan.creates and (f[5] and cjson.decode(f[5]) or {container_id}) or {}
local stopping = {}
for _, id in ipairs(made) do
  local container = ARGV[8] .. id
  local was = redis.call('HGET', container, 'state')
  if was and was ~= 'stopping' and not has_ended(was) then
    redis.call('HSET', container, 'state', 'stopping')
    redis.call('PEXPIRE', container, ARGV[4])
    stopping[#stopping + 1] = {seq = changed(KEYS[3], 'container', container, ARGV[5]), record = record_of(container)}
  end
end
if stopping[1] then verdict.containers = stopping end
local event = {userId = ARGV[1], jobId = ARGV[2], run = tonumber(run), kind = kind, containerId = container_id}
if f[5] then event.containerIds = cjson.decode(f[5]) end
redis.call('PUBLISH', ARGV[6], cjson.encode(event))
return cjson.encode(verdict)
`;

export const cancelJob = defineScript({
  lua: cancelScript,
  keys: ({ userId, jobId }: { userId: string; jobId: string }) => cancelKeys(userId, jobId),
  args: z.object({
    userId: z.string(),
    jobId: z.string(),
    endedTtlMs: z.number(),
    openTtlMs: z.number(),
    maxChanges: z.number().or(z.literal('')),
    channel: z.string(),
    plans: z.string(),
    containerPrefix: z.string(),
  }),
  answer: jsonText(CancelVerdict),
});
