import { limitLua } from './limit.lua.ts';

/**
 * All that a submission must know before it is accepted, in one atomic step and one trip: every tier, the idempotency
 * record, quotas, the desktop's present state; then the records of the job (and of a new desktop) are written. Nothing
 * is written unless it is accepted, but for the limiter's own entry: everything that is not `denied` consumes.
 *
 * KEYS: one a limiter scope, then idempotency, job, jobs, open jobs, container, containers, open containers.
 * ARGV: `SubmitRequest` as JSON. → {limiter's decision, `SubmitVerdict` as JSON}.
 */
export const submitScript = `${limitLua}
local r = cjson.decode(ARGV[1])
local n = #r.scopes
for i, scope in ipairs(r.scopes) do scope.key = KEYS[i] end
local idem, job, jobs, open_jobs = KEYS[n + 1], KEYS[n + 2], KEYS[n + 3], KEYS[n + 4]
local container, containers, open_containers = KEYS[n + 5], KEYS[n + 6], KEYS[n + 7]

local decision = decide(r.scopes, r.nonce, true)
local function answer(verdict) return {decision, cjson.encode(verdict)} end
if decision[1] == 0 then return answer({verdict = 'denied'}) end

local prefix = 'ww:{' .. r.userId .. '}:job:'
local function existing(id, fallback)
  local f = redis.call('HMGET', prefix .. id, 'containerId', 'queue', 'state', 'run', 'createdAt')
  return {verdict = 'replayed', jobId = id, containerId = f[1] or fallback, queue = f[2] or '',
    state = f[3] or 'completed', run = tonumber(f[4] or '1'), createdAt = tonumber(f[5] or '0')}
end
local function remember(id, container_id)
  if r.bodyHash then
    redis.call('SET', idem, cjson.encode({hash = r.bodyHash, jobId = id, containerId = container_id}), 'PX', r.unconfirmedTtlMs.key)
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
local queue, container_id = r.queue, r.containerId

if r.action == 'start' then
  redis.call('ZREMRANGEBYSCORE', open_jobs, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', open_containers, '-inf', now)
  local used_jobs, used_desktops = redis.call('ZCARD', open_jobs), redis.call('ZCARD', open_containers)
  if used_jobs >= r.quotas.jobs then
    return answer({verdict = 'quota', name = 'jobs', limit = r.quotas.jobs, used = used_jobs})
  end
  if used_desktops >= r.quotas.desktops then
    return answer({verdict = 'quota', name = 'desktops', limit = r.quotas.desktops, used = used_desktops})
  end
  container_id = r.container.id
  for field, value in pairs(r.container) do redis.call('HSET', container, field, value) end
  redis.call('HSET', container, 'state', 'requested', 'fence', '0', 'createdAt', now, 'jobId', r.job.id)
  redis.call('PEXPIRE', container, r.unconfirmedTtlMs.record)
  redis.call('ZADD', containers, now, container_id)
  redis.call('PEXPIRE', containers, r.openTtlMs)
  local until_ms = string.format('%.0f', now_ms + r.reservationMs)
  redis.call('ZADD', open_containers, until_ms, container_id)
  redis.call('ZADD', open_jobs, until_ms, r.job.id)
else
  local f = redis.call('HMGET', container, 'state', 'host', 'stopJobId')
  local state, host, stop_job = f[1], f[2], f[3]
  if not state then return answer({verdict = 'not_found'}) end
  if state == 'stopped' or state == 'failed' or state == 'lost' then
    return answer({verdict = 'ended', state = state})
  end
  if stop_job then
    local stop_state = redis.call('HGET', prefix .. stop_job, 'state')
    if stop_state == 'queued' or stop_state == 'delayed' or stop_state == 'active' then
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
end

redis.call('HSET', job, 'id', r.job.id, 'kind', r.job.kind, 'state', 'queued', 'progress', '0', 'run', '1',
  'attemptsMade', '0', 'fence', '0', 'createdAt', now, 'containerId', container_id, 'queue', queue,
  'requestId', r.job.requestId)
redis.call('PEXPIRE', job, r.unconfirmedTtlMs.record)
redis.call('ZADD', jobs, now, r.job.id)
redis.call('ZREMRANGEBYSCORE', jobs, '-inf', string.format('%.0f', now_ms - r.openTtlMs))
redis.call('ZREMRANGEBYSCORE', containers, '-inf', string.format('%.0f', now_ms - r.openTtlMs))
redis.call('PEXPIRE', jobs, r.openTtlMs)
remember(r.job.id, container_id)
return answer({verdict = 'accepted', jobId = r.job.id, containerId = container_id, queue = queue, state = 'queued', run = 1, createdAt = tonumber(now)})
`;
