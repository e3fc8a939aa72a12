import { z } from 'zod';
import { CONTAINER_STATES } from '../../contract/containers.ts';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';
import { changesLua } from './changes.lua.ts';
import { statesLua } from './states.lua.ts';

const State = z.enum(CONTAINER_STATES);
type Container = { userId: string; containerId: string };

/**
 * Assigns a container to a host, before the host creates anything: compare-and-set on the fence, so that one
 * of two hosts wins. The fence rises here and nowhere else: it is the container's incarnation.
 * KEYS: container. ARGV: expected fence, host, its boot id, the engine's instance that it will be, TTL in ms.
 * Returns {'ok', fence} · {'taken', state, host, boot, fence} (also when its stop was requested) · {'gone'}.
 */
const assignContainerScript = /* lua */ `
local f = redis.call('HMGET', KEYS[1], 'state', 'host', 'boot', 'fence')
if not f[1] then return {'gone'} end
if (f[1] ~= 'requested' and f[1] ~= 'starting') or f[4] ~= ARGV[1] then
  return {'taken', f[1], f[2] or '', f[3] or '', f[4]}
end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'state', 'starting', 'host', ARGV[2], 'boot', ARGV[3], 'instanceId', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'ok', tostring(fence)}
`;

export const assignContainer = defineScript({
  lua: assignContainerScript,
  keys: ({ userId, containerId }: Container) => [keys.container(userId, containerId)],
  args: z.object({
    fence: z.number(),
    host: z.string(),
    boot: z.string(),
    instanceId: z.string(),
    ttlMs: z.number(),
  }),
  answer: z.union([
    z.tuple([z.literal('ok'), z.string()]),
    z.tuple([z.literal('taken'), State, z.string(), z.string(), z.string()]),
    z.tuple([z.literal('gone')]),
  ]),
});

/**
 * Undoes a placement that the ledger did not confirm: the record, and its fence, are as before. Nothing was
 * created under it, no event is published and no change is kept: the ledger never has it, and the next
 * placement takes its fence.
 * KEYS: container. ARGV: the placement's fence, its boot id. Returns {'ok'} · {'kept'}.
 */
const unassignContainerScript = /* lua */ `
local f = redis.call('HMGET', KEYS[1], 'state', 'boot', 'fence')
if f[1] ~= 'starting' or f[2] ~= ARGV[2] or f[3] ~= ARGV[1] then return {'kept'} end
redis.call('HINCRBY', KEYS[1], 'fence', -1)
redis.call('HSET', KEYS[1], 'state', 'requested', 'host', '', 'boot', '', 'instanceId', '')
return {'ok'}
`;

export const unassignContainer = defineScript({
  lua: unassignContainerScript,
  keys: ({ userId, containerId }: Container) => [keys.container(userId, containerId)],
  args: z.object({ fence: z.number(), boot: z.string() }),
  answer: z.tuple([z.enum(['ok', 'kept'])]),
});

/**
 * Changes the state of a desktop under its placement's fence; an ended one never changes again.
 * KEYS: container, open containers, changes. ARGV: fence, states it may be in now (comma-separated, '' for
 * any that is not ended), TTL in ms, outstanding until in ms ('' once it has ended), bound of the changes,
 * when its time to live must end by now ('' for any), then pairs of field and value (`state` among them when
 * it changes).
 * Returns {'ok'} · {'refused', state, fence} · {'gone'}.
 */
const changeContainerScript = /* lua */ `${changesLua}${statesLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'fence', 'id', 'expiresAt')
if not f[1] then return {'gone'} end
local allowed = ARGV[2] == '' or string.find(',' .. ARGV[2] .. ',', ',' .. f[1] .. ',', 1, true)
local moved = ARGV[6] ~= '' and f[4] ~= ARGV[6]
if has_ended(f[1]) or not allowed or moved or f[2] ~= ARGV[1] then return {'refused', f[1], f[2]} end
local new_state
for i = 7, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  if ARGV[i] == 'state' then new_state = ARGV[i + 1] end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if ARGV[4] == '' then redis.call('ZREM', KEYS[2], f[3]) else redis.call('ZADD', KEYS[2], ARGV[4], f[3]) end
if new_state then changed(KEYS[3], 'container', KEYS[1], ARGV[5]) end
return {'ok'}
`;

export const changeContainer = defineScript({
  lua: changeContainerScript,
  keys: ({ userId, containerId }: Container) => [
    keys.container(userId, containerId),
    keys.openContainers(userId),
    keys.changes(userId),
  ],
  args: z.object({
    fence: z.number(),
    from: z.string(),
    ttlMs: z.number(),
    until: z.number().or(z.literal('')),
    maxChanges: z.number().or(z.literal('')),
    whileExpiresAt: z.number().optional(),
  }),
  answer: z.union([
    z.tuple([z.literal('ok')]),
    z.tuple([z.literal('refused'), State, z.string()]),
    z.tuple([z.literal('gone')]),
  ]),
});
