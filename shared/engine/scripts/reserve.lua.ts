import { z } from 'zod';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * Reserves resources of a machine for an instance, if its other reservations leave enough: one atomic step,
 * so that hosts which share the machine never reserve the same resources twice. The same host's reservation
 * for an earlier placement of the container is replaced.
 *
 * KEYS: the machine's reservations. ARGV: instance, `Reservation` as JSON, `Capacity` as JSON, '1' to record
 * it even if it does not fit, TTL of all in ms. Returns {'ok'} or {'full', the resource that does not
 * suffice}.
 */
const reserveScript = /* lua */ `
local own, capacity = cjson.decode(ARGV[2]), cjson.decode(ARGV[3])
local used, replaced = {}, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local other = cjson.decode(fields[i + 1])
  if fields[i] ~= ARGV[1] then
    if other.containerId == own.containerId and other.host == own.host then
      replaced[#replaced + 1] = fields[i]
    else
      for name, amount in pairs(other.vector) do used[name] = (used[name] or 0) + amount end
    end
  end
end
if ARGV[4] ~= '1' then
  for name, most in pairs(capacity) do
    if (used[name] or 0) + (own.vector[name] or 0) > most then return {'full', name} end
  end
end
for _, field in ipairs(replaced) do redis.call('HDEL', KEYS[1], field) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'ok'}
`;

export const reserveRoom = defineScript({
  lua: reserveScript,
  keys: ({ machine }: { machine: string }) => [keys.reservations(machine)],
  args: z.object({
    instance: z.string(),
    reservation: z.string(),
    capacity: z.string(),
    always: z.enum(['1', '']),
    ttlMs: z.number(),
  }),
  answer: z.union([z.tuple([z.literal('ok')]), z.tuple([z.literal('full'), z.string()])]),
});
