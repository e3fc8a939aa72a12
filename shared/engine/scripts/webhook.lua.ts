import { z } from 'zod';
import { ENDED_DELIVERY_STATES, MAX_DELIVERIES } from '../../contract/webhook-deliveries.ts';
import { keys } from '../keys.ts';
import { ENDED_RECORD_TTL_MS, OPEN_RECORD_TTL_MS, RESERVATION_MS } from '../records.ts';
import { defineScript } from '../script.ts';

/*
 * The record of a webhook's delivery: a hash in the slot of its owner, listed by its time in a sorted set. `resends`
 * orders the deliveries of the queue: one of them that is behind its record has been sent again since.
 */

/** Twice the time for which a webhook is tried. */
const PENDING_TTL_MS = 2 * ENDED_RECORD_TTL_MS;

const deliveryLua = /* lua */ `
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local function has_ended(state)
  return ${ENDED_DELIVERY_STATES.map((state) => `state == '${state}'`).join(' or ')}
end
local function list(id, created_at)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - ${OPEN_RECORD_TTL_MS}))
  redis.call('ZADD', KEYS[2], 'NX', created_at, id)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, ${-1 - MAX_DELIVERIES})
  redis.call('PEXPIRE', KEYS[2], ${OPEN_RECORD_TTL_MS})
end
`;

const deliveryKeys = ({ userId, id }: { userId: string; id: string }): string[] => [
  keys.webhookDelivery(userId, id),
  keys.webhookDeliveries(userId),
];

/**
 * Records that a delivery is pending, unless it is known, and decides whether it is sent.
 * KEYS: delivery, deliveries. ARGV: id, job, about, `WebhookData` as JSON, when it was queued in ms, its resends.
 * Returns {'send', its state when it has ended, or 'outdated' when it has been sent again since; URL of a test or ''}.
 */
const beginScript = /* lua */ `${deliveryLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'resends', 'url', 'createdAt')
local state, resends, url = f[1], tonumber(f[2] or '0'), f[3] or ''
local own = tonumber(ARGV[6])
if state and resends > own then return {'outdated', ''} end
if state and resends == own and has_ended(state) then return {state, ''} end
if not state then
  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'jobId', ARGV[2], 'about', ARGV[3], 'data', ARGV[4],
    'createdAt', ARGV[5], 'attempts', '0')
end
redis.call('HSET', KEYS[1], 'state', 'pending', 'resends', ARGV[6])
redis.call('HDEL', KEYS[1], 'endedAt')
redis.call('PEXPIRE', KEYS[1], ${PENDING_TTL_MS})
list(ARGV[1], f[4] or ARGV[5])
return {'send', url}
`;

export const beginDelivery = defineScript({
  lua: beginScript,
  keys: deliveryKeys,
  args: z.object({
    id: z.string(),
    jobId: z.string(),
    about: z.string(),
    data: z.string(),
    createdAt: z.number(),
    resends: z.number(),
  }),
  answer: z.tuple([z.enum(['send', 'outdated', ...ENDED_DELIVERY_STATES]), z.string()]),
});

/**
 * Records the outcome of a try. A cancelled delivery stays cancelled, unless its last try was on its way and succeeded.
 * KEYS: delivery. ARGV: its resends, 'pending', 'delivered' or 'failed', '1' when it was tried, host, status, reason,
 * when it is tried again in ms ('' each for none). Returns 1, or 0 for a delivery that is not known or was sent again.
 */
const settleScript = /* lua */ `${deliveryLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'resends')
if not f[1] or tonumber(f[2] or '0') ~= tonumber(ARGV[1]) then return 0 end
if ARGV[3] == '1' then
  redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  redis.call('HSET', KEYS[1], 'attemptedAt', now)
end
redis.call('HSET', KEYS[1], 'host', ARGV[4], 'status', ARGV[5], 'reason', ARGV[6])
if f[1] == 'cancelled' and ARGV[2] ~= 'delivered' then return 1 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'nextAt', ARGV[7])
if has_ended(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'endedAt', now)
  redis.call('PEXPIRE', KEYS[1], ${ENDED_RECORD_TTL_MS})
else
  redis.call('PEXPIRE', KEYS[1], ${PENDING_TTL_MS})
end
return 1
`;

export const settleDelivery = defineScript({
  lua: settleScript,
  keys: (of: { userId: string; id: string }) => deliveryKeys(of).slice(0, 1),
  args: z.object({
    resends: z.number(),
    state: z.enum(['pending', 'delivered', 'failed']),
    tried: z.enum(['1', '']),
    host: z.string(),
    status: z.number().optional(),
    reason: z.string().optional(),
    nextAt: z.number().optional(),
  }),
  answer: z.number(),
});

/**
 * Records that an ended delivery is sent again, after it was queued.
 * KEYS: delivery, deliveries. ARGV: id, the resends before. Returns 1, or 0 when another request, or the worker that
 * sends it, was first.
 */
const restartScript = /* lua */ `${deliveryLua}
local f = redis.call('HMGET', KEYS[1], 'state', 'resends', 'createdAt')
if not f[1] or not has_ended(f[1]) or tonumber(f[2] or '0') ~= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'pending', 'resends', ARGV[2] + 1)
redis.call('HDEL', KEYS[1], 'endedAt', 'nextAt')
redis.call('PEXPIRE', KEYS[1], ${PENDING_TTL_MS})
list(ARGV[1], f[3])
return 1
`;

export const restartDelivery = defineScript({
  lua: restartScript,
  keys: deliveryKeys,
  args: z.object({ id: z.string(), resends: z.number() }),
  answer: z.number(),
});

/**
 * Cancels a pending delivery: its host sends it no more.
 * KEYS: delivery. Returns its state before, '' for one that is not known.
 */
const cancelScript = /* lua */ `${deliveryLua}
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'pending' then
  redis.call('HSET', KEYS[1], 'state', 'cancelled', 'endedAt', now)
  redis.call('HDEL', KEYS[1], 'nextAt')
  redis.call('PEXPIRE', KEYS[1], ${ENDED_RECORD_TTL_MS})
end
return state or ''
`;

export const cancelDelivery = defineScript({
  lua: cancelScript,
  keys: (of: { userId: string; id: string }) => deliveryKeys(of).slice(0, 1),
  args: z.object({}),
  answer: z.string(),
});

/**
 * Records a test before it is queued, with its URL, which the queue does not hold. Unless it is queued and begun, it
 * expires. KEYS: delivery. ARGV: id, URL, host, `WebhookData` as JSON. Returns when it was recorded, ms.
 */
const testScript = /* lua */ `${deliveryLua}
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'about', 'test', 'state', 'pending', 'attempts', '0', 'resends', '0',
  'url', ARGV[2], 'host', ARGV[3], 'data', ARGV[4], 'createdAt', now)
redis.call('PEXPIRE', KEYS[1], ${RESERVATION_MS})
return now
`;

export const recordTest = defineScript({
  lua: testScript,
  keys: (of: { userId: string; id: string }) => deliveryKeys(of).slice(0, 1),
  args: z.object({ id: z.string(), url: z.string(), host: z.string(), data: z.string() }),
  answer: z.string(),
});
