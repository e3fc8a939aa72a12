import { z } from 'zod';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * Reserves resources of a machine for an instance, if its other reservations leave enough: one atomic step,
 * so that hosts which share the machine never reserve the same resources twice. Its GPUs are devices that no
 * other reservation has. The same host's reservation for an earlier placement of the container is replaced,
 * as is that of the instance itself.
 *
 * KEYS: the machine's reservations. ARGV: instance, `Reservation` as JSON, `Capacity` as JSON, the ids of
 * the GPUs that the host offers as JSON, '1' to record the reservation as it is even if it does not fit, TTL
 * of all in ms. Returns {'ok', the ids of its GPUs, comma-separated} or {'full', the resource that does not
 * suffice}.
 */
const reserveScript = /* lua */ `
local own, capacity, offered = cjson.decode(ARGV[2]), cjson.decode(ARGV[3]), cjson.decode(ARGV[4])
local used, taken, replaced = {}, {}, {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local _, other = pcall(cjson.decode, fields[i + 1])
  -- An unreadable one counts nothing.
  local readable = type(other) == 'table' and type(other.vector) == 'table'
  if readable and fields[i] ~= ARGV[1] then
    if own.containerId ~= '' and other.containerId == own.containerId and other.host == own.host then
      replaced[#replaced + 1] = fields[i]
    else
      for name, amount in pairs(other.vector) do used[name] = (used[name] or 0) + (tonumber(amount) or 0) end
      for _, id in ipairs(other.gpuIds or {}) do taken[id] = true end
    end
  end
end
local reservation, given = ARGV[2], own.gpuIds
if ARGV[5] ~= '1' then
  for name, most in pairs(capacity) do
    -- Sums of tenths of a CPU are inexact.
    if (used[name] or 0) + (own.vector[name] or 0) > most + 0.000001 then return {'full', name} end
  end
  given = {}
  for _, id in ipairs(offered) do
    if #given < own.vector.gpus and not taken[id] then given[#given + 1] = id end
  end
  if #given < own.vector.gpus then return {'full', 'gpus'} end
  if #given > 0 then
    own.gpuIds = given
    reservation = cjson.encode(own)
  end
end
for _, field in ipairs(replaced) do redis.call('HDEL', KEYS[1], field) end
redis.call('HSET', KEYS[1], ARGV[1], reservation)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {'ok', table.concat(given, ',')}
`;

export const reserveRoom = defineScript({
  lua: reserveScript,
  keys: ({ machine }: { machine: string }) => [keys.reservations(machine)],
  args: z.object({
    instance: z.string(),
    reservation: z.string(),
    capacity: z.string(),
    gpuIds: z.string(),
    always: z.enum(['1', '']),
    ttlMs: z.number(),
  }),
  answer: z.union([
    z.tuple([z.literal('ok'), z.string()]),
    z.tuple([z.literal('full'), z.enum(['memoryMb', 'cpus', 'diskMb', 'gpus', 'containers'])]),
  ]),
});
