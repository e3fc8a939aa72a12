import { z } from 'zod';
import { LIMIT_SCOPES } from '../../contract/limits.ts';
import { DENIED_SUFFIX } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * The exact sliding window, as a Lua function that other scripts include. A scope is one sorted set of
 * admitted requests (score: Redis time in µs); a window is half open, (now - window, now]. All tiers of all
 * scopes are decided before anything is written: a denial consumes nothing anywhere.
 *
 * `decide(scopes, nonce, consume)`:
 *   scopes   list of {key, scope, tiers: list of {limit, window in µs, name}}
 *   nonce    unique member for this request; an HTTP retry of the same trip is counted once
 *   consume  false to peek
 * Returns {allowed, first, tiers: list of {remaining, reset in µs, limit, window in µs, name, scope} in the order
 * of the scopes' tiers, now in µs}. `first` is 1 for the first denial since the last one's window ended. A tier's reset is when it next
 * gains a free place.
 *
 * `apply_own(scopes, key)` replaces tiers by those of the user's own limits at `key`, if there are any, and returns
 * the user's own quotas. A log then holds what both its usual and its own tiers need, so that limits that are set,
 * changed or removed in the middle of a window are exact at once: the requests of the longest window, and of those
 * no more than the highest limit, because only the newest requests decide whether a tier is full.
 */
export const limitLua = /* lua */ `
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

local function apply_own(scopes, key)
  local text = key and redis.call('HGET', key, 'effective')
  if not text then return {} end
  local read, own = pcall(cjson.decode, text)
  if not read then return {} end
  for _, scope in ipairs(scopes) do
    local tiers = own.tiers[scope.scope]
    if tiers then
      scope.usual, scope.tiers, scope.most = scope.tiers, tiers, 0
      for _, list in ipairs({scope.usual, tiers}) do
        for _, tier in ipairs(list) do scope.most = math.max(scope.most, tier[1]) end
      end
    end
  end
  return own.quotas
end

local function decide(scopes, nonce, consume)
  local allowed, counted, tiers, wait = 1, false, {}, 0
  for _, scope in ipairs(scopes) do
    scope.longest = 0
    for _, tier in ipairs(scope.usual or {}) do scope.longest = math.max(scope.longest, tier[2]) end
    counted = counted or (consume and redis.call('ZSCORE', scope.key, nonce))
    for _, tier in ipairs(scope.tiers) do
      local limit, window = tier[1], tier[2]
      scope.longest = math.max(scope.longest, window)
      local used = redis.call('ZCOUNT', scope.key, string.format('(%.0f', now_us - window), '+inf')
      local reset = now_us
      if used > 0 then
        local nth = math.min(used, limit) - 1
        local entry = redis.call('ZREVRANGE', scope.key, nth, nth, 'WITHSCORES')
        reset = tonumber(entry[2]) + window
      end
      if used >= limit then
        allowed = 0
        wait = math.max(wait, reset - now_us)
      end
      tiers[#tiers + 1] = {math.max(0, limit - used), string.format('%.0f', reset), limit,
        string.format('%.0f', window), tier[3], scope.scope}
    end
  end
  if counted then allowed = 1 end

  local first = 0
  if consume and allowed == 1 and not counted then
    local i = 0
    for _, scope in ipairs(scopes) do
      if scope.longest > 0 then
        redis.call('ZREMRANGEBYSCORE', scope.key, '-inf', string.format('%.0f', now_us - scope.longest))
        redis.call('ZADD', scope.key, string.format('%.0f', now_us), nonce)
        if scope.most then redis.call('ZREMRANGEBYRANK', scope.key, 0, -1 - scope.most) end
        redis.call('PEXPIRE', scope.key, math.ceil(scope.longest / 1000))
      end
      for _, tier in ipairs(scope.tiers) do
        i = i + 1
        local before = tiers[i][1]
        tiers[i][1] = before - 1
        if before == tier[1] then tiers[i][2] = string.format('%.0f', now_us + tier[2]) end
      end
    end
  elseif consume and allowed == 0 then
    local marker = scopes[1].key .. '${DENIED_SUFFIX}'
    if redis.call('SET', marker, '1', 'NX', 'PX', math.max(1, math.ceil(wait / 1000))) then first = 1 end
  end
  return {allowed, first, tiers, string.format('%.0f', now_us)}
end
`;

/**
 * KEYS: one for each scope, then the user's own limits, which an address has not. ARGV: JSON `{nonce, consume,
 * scopes: [{scope, tiers: [[limit, window in µs, name]]}]}`. Returns `decide`'s answer.
 */
export const limitScript = `${limitLua}
local request = cjson.decode(ARGV[1])
for i, scope in ipairs(request.scopes) do scope.key = KEYS[i] end
apply_own(request.scopes, KEYS[#request.scopes + 1])
return decide(request.scopes, request.nonce, request.consume)
`;

/** The answer of `decide`: allowed, first, tiers as [remaining, reset in µs, limit, window in µs, name, scope], now in µs. */
export const RawDecision = z.tuple([
  z.number(),
  z.number(),
  z.array(z.tuple([z.number(), z.string(), z.number(), z.string(), z.string(), z.enum(LIMIT_SCOPES)])),
  z.string(),
]);
export type RawDecision = z.infer<typeof RawDecision>;

export const limitRequests = defineScript({
  lua: limitScript,
  keys: ({ logs, own }: { logs: string[]; own: string | undefined }) => [...logs, ...(own ? [own] : [])],
  args: z.object({ request: z.string() }),
  answer: RawDecision,
});
