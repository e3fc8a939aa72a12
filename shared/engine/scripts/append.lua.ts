import { z } from 'zod';
import { roomKeys } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * Appends events to the log of a job or desktop and to its owner's log, and publishes each on both channels:
 * one atomic step, so that a log's order is its channel's order. A message names the id before it, so that a
 * listener sees a gap.
 *
 * An event is appended once however often it is sent: by its `token` (remembered as long as the log), or
 * without one by (fence, seq) of its producer, which must only rise. A producer with an older fence is stale:
 * all it sends is dropped. A token `end:…` comes with the fence of the run that ended as its `seq`: no event
 * without a token follows under that fence or an older one, and a later run, which has a later fence,
 * is not blocked by an end that is published late.
 *
 * An event that holds a part of a stream of bytes is appended once by its offset instead: it is dropped when the
 * log already has bytes from that offset on, under any fence. A later offset than the log's end is taken: the log
 * may have been lost. The end of each stream is the field `at:<stream>` of meta.
 *
 * A log is bounded in events and in bytes of event JSON, each time an event is appended; the oldest events
 * go, and the newest stays however large it is. Each entry has the bytes that were appended before it (`b`),
 * so that the bytes held are a difference; an entry without that field counts as the log's beginning.
 *
 * KEYS: meta, subject's log, owner's log. ARGV: subject's channel, owner's channel, max events, max bytes,
 * TTL in seconds, fence ('' when only tokens are sent), then per event: token, seq or the offset in its stream,
 * stream ('' for none), offset after its bytes, '1' to keep it out of the owner's log, event JSON. Returns the number of events appended.
 */
const appendScript = /* lua */ `
local meta, max, max_bytes, ttl, fence = KEYS[1], ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])

local function trim(log, total, newest)
  local from, step = '-', 2
  while true do
    local rows = redis.call('XRANGE', log, from, '+', 'COUNT', step)
    for _, row in ipairs(rows) do
      if row[1] == newest or total - tonumber(row[2][6] or '0') <= max_bytes then
        redis.call('XTRIM', log, 'MINID', row[1])
        return
      end
    end
    from, step = '(' .. rows[#rows][1], step * 2
  end
end

local tails = {}
local function append(log, channel, event)
  local tail = tails[log]
  if not tail then
    local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
    tail = last and {last[1], tonumber(last[2][2]), tonumber(last[2][6] or '0') + #last[2][4]} or {'0-0', 0, 0}
    tails[log] = tail
    redis.call('EXPIRE', log, ttl)
  end
  local bytes = string.format('%.0f', tail[3])
  local id = redis.call('XADD', log, 'MAXLEN', '~', max, '*', 'n', tail[2] + 1, 'e', event, 'b', bytes)
  if tail[2] == 0 then redis.call('EXPIRE', log, ttl) end
  redis.call('SPUBLISH', channel, tail[1] .. '\\n' .. id .. '\\n' .. event)
  tail[1], tail[2], tail[3] = id, tail[2] + 1, tail[3] + #event
  if tail[3] > max_bytes then trim(log, tail[3], id) end
end

local known = redis.call('HMGET', meta, 'fence', 'seq', 'ended')
local known_fence, known_seq, ended = tonumber(known[1] or '0'), tonumber(known[2] or '0'), tonumber(known[3] or '0')
if fence and fence < known_fence then return 0 end
if fence and fence > known_fence then
  known_fence, known_seq = fence, 0
  redis.call('HSET', meta, 'fence', fence, 'seq', 0)
end

local appended = 0
for i = 7, #ARGV, 6 do
  local token, seq, stream, stop, private, event =
    ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local fresh
  if token ~= '' then
    fresh = redis.call('HSETNX', meta, 'once:' .. token, '1') == 1
    if fresh and string.sub(token, 1, 4) == 'end:' then
      ended = math.max(ended, seq)
      redis.call('HSET', meta, 'ended', ended)
    end
  elseif stream ~= '' then
    local at = tonumber(redis.call('HGET', meta, 'at:' .. stream) or '0')
    fresh = fence and fence > ended and seq >= at
    if fresh then redis.call('HSET', meta, 'at:' .. stream, stop) end
  else
    fresh = fence and fence > ended and seq > known_seq
    if fresh then
      known_seq = seq
      redis.call('HSET', meta, 'seq', seq)
    end
  end
  if fresh then
    append(KEYS[2], ARGV[1], event)
    if private ~= '1' then append(KEYS[3], ARGV[2], event) end
    appended = appended + 1
  end
end
redis.call('EXPIRE', meta, ttl)
return appended
`;

export const appendToRoom = defineScript({
  lua: appendScript,
  keys: ({ userId, room }: { userId: string; room: string }) => [
    roomKeys.meta(userId, room),
    roomKeys.log(userId, room),
    roomKeys.log(userId, `user:${userId}`),
  ],
  args: z.object({
    channel: z.string(),
    ownersChannel: z.string(),
    maxEvents: z.number(),
    maxBytes: z.number(),
    ttlSeconds: z.number(),
    fence: z.number().optional(),
  }),
  answer: z.number(),
});
