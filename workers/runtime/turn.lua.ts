import { defineScript } from '@warmwind/shared/engine/script';
import { z } from 'zod';

/**
 * Counts a turn of BullMQ's limiter for a user, or releases it when the user has as many turns as the present
 * window has left. KEYS: the queue's limiter, a count that expires with its window; a hash of user to turns in
 * it. ARGV: user, turns in a window.
 * @returns ms until the window ends when the turn was released, else 0
 */
const takeTurnScript = /* lua */ `
local left = redis.call('PTTL', KEYS[1])
if left <= 0 then return 0 end
local others = tonumber(redis.call('GET', KEYS[1])) - 1
local mine = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if mine > 0 and mine >= tonumber(ARGV[2]) - others then
  redis.call('DECR', KEYS[1])
  return left
end
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
redis.call('PEXPIRE', KEYS[2], left)
return 0
`;

/**
 * Releases a turn of BullMQ's limiter, if it was taken in the present window. KEYS: as above. ARGV: length of
 * a window in ms, age of the turn in ms, user for whom it was counted ('' when it was not).
 * @returns 1 when it was released
 */
const releaseTurnScript = /* lua */ `
local left = redis.call('PTTL', KEYS[1])
if left <= 0 or tonumber(ARGV[1]) - left < tonumber(ARGV[2]) then return 0 end
if tonumber(redis.call('GET', KEYS[1])) <= 0 then return 0 end
redis.call('DECR', KEYS[1])
if ARGV[3] ~= '' and tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or '0') > 0 then
  redis.call('HINCRBY', KEYS[2], ARGV[3], -1)
end
return 1
`;

const keys = ({ limiter }: { limiter: string }): string[] => [limiter, `${limiter}:users`];

export const takeTurn = defineScript({
  lua: takeTurnScript,
  keys,
  args: z.object({ user: z.string(), max: z.number() }),
  answer: z.number(),
});

export const releaseTurn = defineScript({
  lua: releaseTurnScript,
  keys,
  args: z.object({ windowMs: z.number(), agoMs: z.number(), user: z.string() }),
  answer: z.number(),
});
