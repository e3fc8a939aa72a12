import { z } from 'zod';
import { Control, screenKeys } from '../../contract/screen.ts';
import { jsonText } from '../../runtime/json.ts';
import { defineScript } from '../script.ts';

/**
 * The one lease of control of a container: takes, renews or releases it, and notifies the host when the
 * holder changed, in one step. Any action of its holder renews it. A viewer or guest is identified by its
 * viewer id, an agent by its credential.
 *
 * KEYS: control, leases (see `screenKeys`). ARGV: action, the caller as `Holder` in JSON or '', TTL in ms,
 * channel to the host. Actions: `look`; `request` takes it when it is free, and an agent also from another
 * agent; `take` takes it from its holder; `release`.
 * Returns whether the holder changed (1 or 0), the last lease, the present `Control` as JSON or ''.
 */
const controlScript = /* lua */ `
local action, caller, ttl, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local function is_agent(json)
  return cjson.decode(json).type == 'agent'
end
local function name_of(json)
  local holder = cjson.decode(json)
  if holder.type == 'agent' then return 'agent:' .. holder.userId .. ':' .. holder.credential end
  return 'viewer:' .. holder.viewerId
end
local present = redis.call('GET', KEYS[1])
local mine = present and caller ~= '' and name_of(present) == name_of(caller)
local lease = tonumber(redis.call('GET', KEYS[2]) or '0')
local changed = 0

if action == 'release' then
  if mine then
    redis.call('DEL', KEYS[1])
    present, changed = false, 1
  end
elseif mine then
  redis.call('PEXPIRE', KEYS[1], ttl)
elseif action == 'take' or (action == 'request' and (not present or (is_agent(present) and is_agent(caller)))) then
  -- Rises also after a loss of data, as it is at least the time of Redis.
  local time = redis.call('TIME')
  lease = math.max(lease + 1, time[1] * 1000 + math.floor(time[2] / 1000))
  present = string.format('%s,"lease":%.0f}', string.sub(caller, 1, -2), lease)
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
    caller: z.string(),
    ttlMs: z.number(),
    channel: z.string(),
  }),
  answer: z.tuple([z.number(), z.number(), z.literal('').or(jsonText(Control))]),
});
