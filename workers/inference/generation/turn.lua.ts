/**
 * Gives a turn back to BullMQ's limiter, if it was taken in the window that still runs. KEYS: the queue's limiter, a count
 * that expires with its window. ARGV: length of a window in ms, how long ago the turn was taken in ms. → 1 when it did.
 */
export const giveTurnBackScript = /* lua */ `
local left = redis.call('PTTL', KEYS[1])
if left <= 0 or tonumber(ARGV[1]) - left < tonumber(ARGV[2]) then return 0 end
if tonumber(redis.call('GET', KEYS[1])) <= 0 then return 0 end
redis.call('DECR', KEYS[1])
return 1
`;
