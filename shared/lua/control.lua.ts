import { z } from 'zod';
import { jsonText } from '../json.ts';
import { Control, screenKeys } from '../screen.ts';
import { defineScript } from '../script.ts';

/**
 * Who may send input to a desktop: takes, renews or gives back the one lease of control, and tells the host when it
 * changed hands, in one step. Whoever holds it renews it with whatever action.
 *
 * KEYS: control, leases (see `screenKeys`). ARGV: action, viewer id, user id, TTL in ms, channel to the host, '1' for who came
 * by a share link.
 * Actions: `look`; `request` takes it when it is free; `take` takes it from whoever holds it; `release`.
 * → whether it changed hands (1 or 0), the last lease that there has been, the present `Control` as JSON or ''.
 */
const controlScript = /* lua */ `
local action, viewer, user, ttl, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local present = redis.call('GET', KEYS[1])
local holder = present and cjson.decode(present).viewerId
local lease = tonumber(redis.call('GET', KEYS[2]) or '0')
local changed = 0

if action == 'release' then
  if holder == viewer then
    redis.call('DEL', KEYS[1])
    present, changed = false, 1
  end
elseif holder == viewer then
  redis.call('PEXPIRE', KEYS[1], ttl)
elseif action == 'take' or (action == 'request' and not present) then
  -- Rises also over a loss of this Redis, whose clock goes on.
  local time = redis.call('TIME')
  lease = math.max(lease + 1, time[1] * 1000 + math.floor(time[2] / 1000))
  local shared = ARGV[6] == '1' and '"shared":true,' or ''
  present = string.format('{"viewerId":%s,"userId":%s,%s"lease":%.0f}', cjson.encode(viewer), cjson.encode(user), shared, lease)
  redis.call('SET', KEYS[1], present, 'PX', ttl)
  redis.call('SET', KEYS[2], string.format('%.0f', lease), 'EX', 604800)
  changed = 1
end

if changed == 1 then redis.call('SPUBLISH', channel, '{"t":"control"}') end
return { changed, lease, present or '' }
`;

export const moveControl = defineScript({
  lua: controlScript,
  keys: ({ containerId }: { containerId: string }) => [
    screenKeys.control(containerId),
    screenKeys.leases(containerId),
  ],
  args: z.object({
    action: z.enum(['look', 'request', 'take', 'release']),
    viewerId: z.string(),
    userId: z.string(),
    ttlMs: z.number(),
    channel: z.string(),
    shared: z.enum(['1', '']),
  }),
  answer: z.tuple([z.number(), z.number(), z.literal('').or(jsonText(Control))]),
});
