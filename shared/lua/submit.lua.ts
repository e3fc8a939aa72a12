import { changesLua } from './changes.lua.ts';
import { limitLua } from './limit.lua.ts';

/**
 * All that a submission must know before it is accepted, in one atomic step and one trip: every tier, the idempotency
 * record, quotas, the desktop's present state; then the records of the job (and of a new desktop) are written. Nothing
 * is written unless it is accepted, but for the limiter's own entry: everything that is not `denied` consumes.
 *
 * A retry makes a new run of a job that ended without success: a start with a new desktop like the first one, as one that
 * has ended never changes again. How the runs before it ended is kept (`EarlierEnd`), as it may not have been told yet.
 *
 * KEYS: one a limiter scope, then idempotency, job, jobs, open jobs, container, containers, open containers, input,
 * changes. ARGV: `SubmitRequest` as JSON, the input. → {limiter's decision, `SubmitVerdict` as JSON}.
 */
export const submitScript = /* lua */ `${limitLua}${changesLua}
local r = cjson.decode(ARGV[1])
local n = #r.scopes
for i, scope in ipairs(r.scopes) do scope.key = KEYS[i] end
local idem, job, jobs, open_jobs = KEYS[n + 1], KEYS[n + 2], KEYS[n + 3], KEYS[n + 4]
local container, containers, open_containers = KEYS[n + 5], KEYS[n + 6], KEYS[n + 7]
local input, changes = KEYS[n + 8], KEYS[n + 9]
local retry = r.action == 'retry'

local decision = decide(r.scopes, r.nonce, true)
local function answer(verdict) return {decision, cjson.encode(verdict)} end
if decision[1] == 0 then return answer({verdict = 'denied'}) end

local own = string.match(job, '^[^}]*}:')
local prefix, container_prefix = own .. 'job:', own .. 'container:'
local function existing(id, fallback)
  local f = redis.call('HMGET', prefix .. id, 'containerId', 'queue', 'state', 'run', 'createdAt', 'priority', 'kind')
  local found = {verdict = 'replayed', jobId = id, containerId = f[1] or fallback, queue = f[2] or '',
    state = f[3] or 'completed', run = tonumber(f[4] or '1'), createdAt = tonumber(f[5] or '0'),
    priority = tonumber(f[6] or '0')}
  if retry and f[3] then
    found.records = {job = {seq = '', record = record_of(prefix .. id)}}
    if f[7] == 'container.start' then
      found.records.container = {seq = '', record = record_of(container_prefix .. f[1])}
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
local kind = retry and known.kind or r.job.kind
local class = retry and tonumber(known.priorityClass or '5') or r.job.priorityClass or 5
local queue, container_id = r.queue, r.containerId or ''
local desktop = r.container

if retry then
  if not known.state then return answer({verdict = 'not_found'}) end
  if known.state ~= 'failed' and known.state ~= 'cancelled' and known.state ~= 'timed_out' then
    return answer({verdict = 'unretryable', state = known.state})
  end
  queue = kind == 'inference' and (known.queue or 'ai-inference') or 'containers'
  if kind == 'container.stop' then
    container_id = known.containerId
    container = container_prefix .. container_id
  elseif kind == 'container.start' then
    local before = record_of(container_prefix .. known.containerId)
    if not before.spec or before.spec == '{}' then return answer({verdict = 'forgotten'}) end
    desktop = {id = container_id, userId = r.userId, name = before.name, image = before.image, width = before.width,
      height = before.height, spec = before.spec}
  elseif redis.call('EXISTS', input) == 0 then
    return answer({verdict = 'forgotten'})
  end
end
-- A retry of an inference has no new desktop, but the one it reads.
if retry and kind == 'inference' then container_id = known.containerId or '' end

local priority = 0
if kind == 'container.stop' then
  local f = redis.call('HMGET', container, 'state', 'host', 'stopJobId')
  local state, host, stop_job = f[1], f[2], f[3]
  if not state then return answer({verdict = retry and 'forgotten' or 'not_found'}) end
  if state == 'stopped' or state == 'failed' or state == 'lost' then
    return answer({verdict = 'ended', state = state})
  end
  if stop_job and stop_job ~= r.job.id then
    local stop_state = redis.call('HGET', prefix .. stop_job, 'state')
    if stop_state == 'queued' or stop_state == 'delayed' or stop_state == 'active' then
      if retry then return answer({verdict = 'unretryable', state = stop_state}) end
      remember(stop_job, container_id)
      return answer(existing(stop_job, container_id))
    end
  end
  if host and host ~= '' then
    queue = 'containers-' .. host
  else
    redis.call('HSET', container, 'state', 'stopping')
  end
  redis.call('HSET', container, 'stopJobId', r.job.id)
else
  redis.call('ZREMRANGEBYSCORE', open_jobs, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', open_containers, '-inf', now)
  local used_jobs, used_desktops = redis.call('ZCARD', open_jobs), redis.call('ZCARD', open_containers)
  if used_jobs >= r.quotas.jobs then
    return answer({verdict = 'quota', name = 'jobs', limit = r.quotas.jobs, used = used_jobs})
  end
  if desktop and used_desktops >= r.quotas.desktops then
    return answer({verdict = 'quota', name = 'desktops', limit = r.quotas.desktops, used = used_desktops})
  end
  priority = math.min(2097151, used_jobs * 10 + class)
  local until_ms = string.format('%.0f', now_ms + r.reservationMs)
  if desktop then
    container_id = desktop.id
    for field, value in pairs(desktop) do redis.call('HSET', container, field, value) end
    redis.call('HSET', container, 'state', 'requested', 'fence', '0', 'createdAt', now, 'jobId', r.job.id)
    redis.call('PEXPIRE', container, retry and r.openTtlMs or r.unconfirmedTtlMs.record)
    redis.call('ZADD', containers, now, container_id)
    redis.call('PEXPIRE', containers, r.openTtlMs)
    redis.call('ZADD', open_containers, until_ms, container_id)
  elseif not retry then
    redis.call('SET', input, ARGV[2], 'PX', r.unconfirmedTtlMs.record)
  else
    redis.call('PEXPIRE', input, r.openTtlMs)
  end
  redis.call('ZADD', open_jobs, until_ms, r.job.id)
end

redis.call('HSET', job, 'state', 'queued', 'progress', '0', 'attemptsMade', '0', 'containerId', container_id,
  'queue', queue, 'priority', priority, 'requestId', r.job.requestId)
local run, created = 1, now
if retry then
  local ends = known.ends and cjson.decode(known.ends) or {}
  ends[#ends + 1] = {run = tonumber(known.run), state = known.state, fence = tonumber(known.fence), queue = known.queue,
    containerId = known.containerId, error = known.error, at = tonumber(known.finishedAt or '0'),
    attemptsMade = tonumber(known.attemptsMade or '0')}
  if #ends > 5 then table.remove(ends, 1) end
  redis.call('HSET', job, 'ends', cjson.encode(ends))
  run = redis.call('HINCRBY', job, 'run', 1)
  redis.call('HINCRBY', job, 'fence', 1)
  created = known.createdAt
  redis.call('HDEL', job, 'startedAt', 'finishedAt', 'result', 'error')
  redis.call('PEXPIRE', job, r.openTtlMs)
else
  redis.call('HSET', job, 'id', r.job.id, 'kind', kind, 'run', '1', 'fence', '0', 'createdAt', now,
    'priorityClass', class, 'webhookUrl', r.job.webhookUrl or '', 'timeoutMs', r.job.timeoutMs or 0)
  redis.call('PEXPIRE', job, r.unconfirmedTtlMs.record)
end
redis.call('ZADD', jobs, created, r.job.id)
redis.call('ZREMRANGEBYSCORE', jobs, '-inf', string.format('%.0f', now_ms - r.openTtlMs))
redis.call('ZREMRANGEBYSCORE', containers, '-inf', string.format('%.0f', now_ms - r.openTtlMs))
redis.call('PEXPIRE', jobs, r.openTtlMs)
remember(r.job.id, container_id)
local accepted = {verdict = 'accepted', jobId = r.job.id, containerId = container_id, queue = queue, state = 'queued',
  run = run, priority = priority, createdAt = tonumber(created)}
if retry then
  accepted.records = {job = {seq = changed(changes, 'job', job, r.maxChanges), record = record_of(job)}}
  if desktop then
    accepted.records.container = {seq = changed(changes, 'container', container, r.maxChanges), record = record_of(container)}
  end
end
return answer(accepted)
`;
