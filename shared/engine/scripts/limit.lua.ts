import { z } from 'zod';
import { DENIED_SUFFIX } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * The exact sliding window, as a Lua function that other scripts include. A scope is one sorted set of
 * admitted requests (score: Redis time in µs); a window is half open, (now - window, now]. All tiers of all
 * scopes are decided before anything is written: a denial consumes nothing anywhere.
 *
 * `decide(scopes, nonce, consume)`:
 *   scopes   list of {key, tiers: list of {limit, window in µs}}
 *   nonce    unique member for this request; an HTTP retry of the same trip is counted once
 *   consume  false to peek
 * Returns {allowed, first, tiers: list of {remaining, reset in µs} in the order of the scopes' tiers, now in
 * µs}. `first` is 1 for the first denial since the last one's window ended. A tier's reset is when it next
 * gains a free place.
 */
export const limitLua = /* lua */ `
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

local function decide(scopes, nonce, consume)
  local allowed, counted, tiers, wait = 1, false, {}, 0
  for _, scope in ipairs(scopes) do
    scope.longest = 0
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
      tiers[#tiers + 1] = {math.max(0, limit - used), string.format('%.0f', reset)}
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
 * KEYS: one for each scope. ARGV: JSON `{nonce, consume, scopes: [{tiers: [[limit, window in µs]]}]}`.
 * Returns `decide`'s answer.
 */
export const limitScript = `${limitLua}
local request = cjson.decode(ARGV[1])
for i, scope in ipairs(request.scopes) do scope.key = KEYS[i] end
return decide(request.scopes, request.nonce, request.consume)
`;

/** The answer of `decide`: allowed, first, tiers as [remaining, reset in µs], now in µs. */
export const RawDecision = z.tuple([
  z.number(),
  z.number(),
  z.array(z.tuple([z.number(), z.string()])),
  z.string(),
]);
export type RawDecision = z.infer<typeof RawDecision>;

export const limitRequests = defineScript({
  lua: limitScript,
  keys: (logs: string[]) => logs,
  args: z.object({ request: z.string() }),
  answer: RawDecision,
});
