import { z } from 'zod';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';

const waitingKeys = (_: object) => [keys.waitingStarts(), keys.waitingStartDetails()];

/**
 * Adds a start to those that wait, or changes the details of one that waits already; its turn stays. The
 * turn of a new one begins when it was queued, and later by `turnMs` for each start of its user that waits
 * before it.
 *
 * KEYS: waiting starts, their details. ARGV: member, prefix of its user's members, when it was queued in ms,
 * `turnMs`, most starts, '1' to change only one that waits already, then its details as JSON, or those that
 * change. Returns 1, or 0 when it does not wait.
 */
const waitScript = /* lua */ `
local details = cjson.decode(ARGV[7])
local known = redis.call('HGET', KEYS[2], ARGV[1])
if known and redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  local merged = cjson.decode(known)
  for name, value in pairs(details) do merged[name] = value end
  redis.call('HSET', KEYS[2], ARGV[1], cjson.encode(merged))
  return 1
end
if ARGV[6] == '1' or redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[5]) then return 0 end
local before = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.sub(member, 1, #ARGV[2]) == ARGV[2] then before = before + 1 end
end
redis.call('ZADD', KEYS[1], string.format('%.0f', tonumber(ARGV[3]) + before * tonumber(ARGV[4])), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[7])
return 1
`;

export const waitForRoom = defineScript({
  lua: waitScript,
  keys: waitingKeys,
  args: z.object({
    member: z.string(),
    prefix: z.string(),
    queuedAt: z.number(),
    turnMs: z.number(),
    max: z.number(),
    known: z.enum(['1', '']),
    details: z.string(),
  }),
  answer: z.number(),
});

/**
 * Lists the starts that wait, in the order of their turns, and removes members without details.
 *
 * KEYS: waiting starts, their details. ARGV: most starts. Returns triples of member, turn in ms and details
 * as JSON.
 */
const listScript = /* lua */ `
local list, found = {}, redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
for i = 1, #found, 2 do
  local details = redis.call('HGET', KEYS[2], found[i])
  if details then
    list[#list + 1] = {found[i], found[i + 1], details}
  else
    redis.call('ZREM', KEYS[1], found[i])
  end
end
return list
`;

export const listWaitingStarts = defineScript({
  lua: listScript,
  keys: waitingKeys,
  args: z.object({ most: z.number() }),
  answer: z.array(z.tuple([z.string(), z.string(), z.string()])),
});
