import { z } from 'zod';
import type { LimitScope } from '../../contract/limits.ts';
import { jsonText } from '../../runtime/json.ts';
import { SubmitVerdict, submitKeys } from '../records.ts';
import { defineScript } from '../script.ts';
import { changesLua } from './changes.lua.ts';
import { limitLua, RawDecision } from './limit.lua.ts';
import { statesLua } from './states.lua.ts';

/**
 * Decides on a submission in one atomic step and one trip: checks every tier, the idempotency record, quotas
 * and the container's present state, then writes the records of the job (and of new containers). Nothing is
 * written unless it is accepted, except for the limiter's own entry: every verdict but `denied` counts
 * against the rate limits.
 *
 * The script is independent of kinds of jobs: a plan (`shared/contract/plan.ts`) holds the needs of a kind. A
 * retry makes a new run of a job that ended without success, by the plan of its kind. A plan that creates
 * containers creates new ones with the same spec, because an ended container never changes again. The ends of
 * the earlier runs are kept (`PreviousEnd`), as their events may not have been published yet.
 *
 * KEYS: one for each limiter scope, then idempotency, job, jobs, open jobs, containers, open containers,
 * input, changes, the user's own limits.
 * ARGV: `SubmitRequest` as JSON, the input. Returns the limiter's decision and `SubmitVerdict` as JSON.
 */
export const submitScript = /* lua */ `${limitLua}${changesLua}${statesLua}
local r = cjson.decode(ARGV[1])
local n = #r.scopes
for i, scope in ipairs(r.scopes) do scope.key = KEYS[i] end
local idem, job, jobs, open_jobs = KEYS[n + 1], KEYS[n + 2], KEYS[n + 3], KEYS[n + 4]
local containers, open_containers = KEYS[n + 5], KEYS[n + 6]
local input, changes = KEYS[n + 7], KEYS[n + 8]
local retry = r.plans ~= nil
local own = apply_own(r.scopes, KEYS[n + 9])
local quotas = {jobs = own.jobs or r.quotas.jobs, desktops = own.desktops or r.quotas.desktops}

local decision = decide(r.scopes, r.nonce, true)
local function answer(verdict) return {decision, cjson.encode(verdict)} end
if decision[1] == 0 then return answer({verdict = 'denied'}) end

local job_prefix, container_prefix = r.prefixes.job, r.prefixes.container
local function has(list, value)
  for _, one in ipairs(list) do if one == value then return true end end
  return false
end
local function ids_of(record)
  if record.containerIds then return cjson.decode(record.containerIds) end
  return (record.containerId or '') ~= '' and {record.containerId} or {}
end
local function existing(id, fallback)
  local record = record_of(job_prefix .. id)
  local found = {verdict = 'replayed', jobId = id, containerId = record.containerId or fallback,
    queue = record.queue or '', state = record.state or 'completed', run = tonumber(record.run or '1'),
    createdAt = tonumber(record.createdAt or '0'), priority = tonumber(record.priority or '0')}
  if record.containerIds then found.containerIds = cjson.decode(record.containerIds) end
  local plan = r.plan or r.plans[record.kind]
  if record.state then
    found.records = {job = {seq = '', record = record}}
    if plan and plan.creates and ids_of(record)[1] then
      found.records.containers = {}
      for i, made in ipairs(ids_of(record)) do
        found.records.containers[i] = {seq = '', record = record_of(container_prefix .. made)}
      end
    end
  end
  return found
end
local function remember(id, container_id)
  if r.bodyHash then
    local ttl = retry and r.keyTtlMs or r.unconfirmedTtlMs.key
    redis.call('SET', idem, cjson.encode({hash = r.bodyHash, jobId = id, containerId = container_id}), 'PX', ttl)
  end
end

if r.bodyHash then
  local seen = redis.call('GET', idem)
  if seen then
    seen = cjson.decode(seen)
    if seen.hash ~= r.bodyHash then return answer({verdict = 'mismatch'}) end
    return answer(existing(seen.jobId, seen.containerId))
  end
end

local now = string.format('%.0f', now_ms)
local known = retry and record_of(job) or {}
local plan, made = r.plan, r.containers or {}
local class = retry and tonumber(known.priorityClass or '5') or r.job.priorityClass or 5
local container_id = r.containerId or ''

if retry then
  if not known.state then return answer({verdict = 'not_found'}) end
  plan = r.plans[known.kind]
  if not is_unsuccessful(known.state) or not plan or not plan.retryable then
    return answer({verdict = 'unretryable', state = known.state})
  end
  container_id = known.containerId or ''
  if plan.creates then
    for i, id in ipairs(ids_of(known)) do
      local before = record_of(container_prefix .. id)
      if not before.spec or before.spec == '{}' then return answer({verdict = 'forgotten'}) end
      made[i] = {id = r.newIds[i], userId = r.userId, name = before.name, image = before.image,
        width = before.width, height = before.height, spec = before.spec, labels = before.labels}
    end
  elseif plan.keepsInput and redis.call('EXISTS', input) == 0 then
    return answer({verdict = 'forgotten'})
  end
end
if made[1] then container_id = made[1].id end

local queue, container, at_host = plan.queue or known.queue, nil, false
if container_id ~= '' and (plan.about == 'one' or (plan.about == 'maybe' and not retry)) then
  container = container_prefix .. container_id
  local f = redis.call('HMGET', container, 'state', 'host', plan.once or 'state', 'pausedBy')
  local state, host, outstanding = f[1], f[2] or '', plan.once and f[3]
  if not state then return answer({verdict = retry and 'forgotten' or 'not_found'}) end
  if has_ended(state) then
    return answer({verdict = 'ended', state = state})
  end
  if plan.requires and not has(plan.requires, state) then
    -- Its host resumes one that was paused because it was idle.
    local wakes = state == 'paused' and f[4] == 'idle' and has(plan.requires, 'running')
    if not wakes then return answer({verdict = 'unready', state = state}) end
  end
  if outstanding and outstanding ~= r.job.id then
    local its_state = redis.call('HGET', job_prefix .. outstanding, 'state')
    if its_state and not is_terminal(its_state) then
      if retry then return answer({verdict = 'unretryable', state = its_state}) end
      remember(outstanding, container_id)
      return answer(existing(outstanding, container_id))
    end
  end
  if plan.hostQueue and host ~= '' then
    queue, at_host = plan.hostQueue[1] .. host .. plan.hostQueue[2], true
  end
end

local priority = 0
if plan.counts then
  redis.call('ZREMRANGEBYSCORE', open_jobs, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', open_containers, '-inf', now)
  local used_jobs, used_desktops = redis.call('ZCARD', open_jobs), redis.call('ZCARD', open_containers)
  if used_jobs >= quotas.jobs then
    return answer({verdict = 'quota', name = 'jobs', limit = quotas.jobs, used = used_jobs})
  end
  if made[1] and used_desktops + #made > quotas.desktops then
    return answer({verdict = 'quota', name = 'desktops', limit = quotas.desktops, used = used_desktops})
  end
  priority = math.min(2097151, used_jobs * 10 + class)
  redis.call('ZADD', open_jobs, string.format('%.0f', now_ms + r.reservationMs), r.job.id)
end

local record_ttl = retry and r.openTtlMs or r.unconfirmedTtlMs.record
local ids = {}
for i, fields in ipairs(made) do
  local name = container_prefix .. fields.id
  ids[i] = fields.id
  for field, value in pairs(fields) do redis.call('HSET', name, field, value) end
  redis.call('HSET', name, 'state', 'requested', 'fence', '0', 'createdAt', now, 'jobId', r.job.id)
  redis.call('PEXPIRE', name, record_ttl)
  redis.call('ZADD', containers, now, fields.id)
  redis.call('PEXPIRE', containers, r.openTtlMs)
  redis.call('ZADD', open_containers, string.format('%.0f', now_ms + r.reservationMs), fields.id)
end
if plan.enters and not at_host then redis.call('HSET', container, 'state', plan.enters) end
if plan.once then redis.call('HSET', container, plan.once, r.job.id) end
if plan.keepsInput then
  if retry then redis.call('PEXPIRE', input, r.openTtlMs) else redis.call('SET', input, ARGV[2], 'PX', record_ttl) end
end

redis.call('HSET', job, 'state', 'queued', 'progress', '0', 'attemptsMade', '0', 'containerId', container_id,
  'queue', queue, 'priority', priority, 'requestId', r.job.requestId)
if ids[2] then redis.call('HSET', job, 'containerIds', cjson.encode(ids)) end
local run, created = 1, now
if retry then
  local ends = known.ends and cjson.decode(known.ends) or {}
  ends[#ends + 1] = {run = tonumber(known.run), state = known.state, fence = tonumber(known.fence), queue = known.queue,
    containerId = known.containerId, containerIds = known.containerIds, error = known.error,
    at = tonumber(known.finishedAt or '0'), attemptsMade = tonumber(known.attemptsMade or '0')}
  if #ends > 5 then table.remove(ends, 1) end
  redis.call('HSET', job, 'ends', cjson.encode(ends))
  run = redis.call('HINCRBY', job, 'run', 1)
  redis.call('HINCRBY', job, 'fence', 1)
  created = known.createdAt
  redis.call('HDEL', job, 'startedAt', 'finishedAt', 'result', 'error', 'waiting')
else
  redis.call('HSET', job, 'id', r.job.id, 'kind', r.job.kind, 'run', '1', 'fence', '0', 'createdAt', now,
    'priorityClass', class, 'webhookUrl', r.job.webhookUrl or '', 'timeoutMs', r.job.timeoutMs or 0)
  if r.job.labels then redis.call('HSET', job, 'labels', r.job.labels) end
end
redis.call('PEXPIRE', job, record_ttl)
redis.call('ZADD', jobs, created, r.job.id)
redis.call('ZREMRANGEBYSCORE', jobs, '-inf', string.format('%.0f', now_ms - r.openTtlMs))
redis.call('ZREMRANGEBYSCORE', containers, '-inf', string.format('%.0f', now_ms - r.openTtlMs))
redis.call('PEXPIRE', jobs, r.openTtlMs)
remember(r.job.id, container_id)
local accepted = {verdict = 'accepted', jobId = r.job.id, containerId = container_id, queue = queue, state = 'queued',
  run = run, priority = priority, createdAt = tonumber(created)}
if ids[2] then accepted.containerIds = ids end
-- The ledger gets a new job's records with the submission itself, a retry's as changes.
local function seq_of(kind, name) return retry and changed(changes, kind, name, r.maxChanges) or '' end
accepted.records = {job = {seq = seq_of('job', job), record = record_of(job)}}
if ids[1] then
  accepted.records.containers = {}
  for i, id in ipairs(ids) do
    local name = container_prefix .. id
    accepted.records.containers[i] = {seq = seq_of('container', name), record = record_of(name)}
  end
end
return answer(accepted)
`;

export const submitJob = defineScript({
  lua: submitScript,
  keys: (of: {
    userId: string;
    scopes: readonly LimitScope[];
    jobId: string;
    idempotencyHash?: string | undefined;
  }) => submitKeys(of.userId, of.scopes, of),
  args: z.object({ request: z.string(), input: z.string() }),
  answer: z.tuple([RawDecision, jsonText(SubmitVerdict)]),
});
