import { z } from 'zod';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * Sets the limits of a user that differ from those of the deployment, unless Redis has later ones.
 *
 * KEYS: the user's own limits. ARGV: when they were set in ms ('' for now, later than those that Redis has), the
 * administrator, `UserLimits` as JSON, `OwnLimits` as JSON, TTL in ms ('' for none).
 * Returns {'set' or 'kept', when the limits that Redis has were set}.
 */
const setUserLimitsScript = /* lua */ `
local known = tonumber(redis.call('HGET', KEYS[1], 'at') or '0') or 0
local at = tonumber(ARGV[1])
if not at then
  local time = redis.call('TIME')
  at = math.max(tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), known + 1)
end
local text = string.format('%.0f', at)
if at < known then return {'kept', string.format('%.0f', known)} end
redis.call('HSET', KEYS[1], 'at', text, 'by', ARGV[2], 'limits', ARGV[3], 'effective', ARGV[4])
if ARGV[5] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return {'set', text}
`;

export const setUserLimits = defineScript({
  lua: setUserLimitsScript,
  keys: ({ userId }: { userId: string }) => [keys.userLimits(userId)],
  args: z.object({
    at: z.number().optional(),
    by: z.string(),
    limits: z.string(),
    effective: z.string(),
    ttlMs: z.number().optional(),
  }),
  answer: z.tuple([z.enum(['set', 'kept']), z.string()]),
});
