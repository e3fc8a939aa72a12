import { keys } from '@warmwind/shared/engine/keys';
import { defineScript } from '@warmwind/shared/engine/script';
import { z } from 'zod';

/** The start of every script: the time of Redis, ms. */
const NOW = /* lua */ `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Records a beat of a process and finds the processes that have stopped beating. A process that was declared
 * dead does not beat before it is revived. KEYS: beats, records, dead processes. ARGV: boot id, ms without a
 * beat after which it counts as dead, its record as JSON, most boot ids to find.
 * @returns {'alive' or 'dead', Redis time, Redis time of the beat before or '', boot ids that are overdue…}
 */
const beatScript = /* lua */ `${NOW}
if redis.call('ZSCORE', KEYS[3], ARGV[1]) then return {'dead', now, ''} end
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, ARGV[4])
return {'alive', now, before and string.format('%.0f', before - ARGV[2]) or '', unpack(overdue)}
`;

/**
 * Declares an overdue process dead and claims its recovery, unless it has beaten again or a peer recovers it.
 * KEYS: beats, records, dead processes, claim. ARGV: boot id, token of the claim, its life in ms, how long
 * dead processes are remembered in ms.
 * @returns {'claimed', its record or ''} or {'kept'}
 */
const declareDeadScript = /* lua */ `${NOW}
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not due or tonumber(due) >= now then return {'kept'} end
if not redis.call('SET', KEYS[4], ARGV[2], 'NX', 'PX', ARGV[3]) then return {'kept'} end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[4])
redis.call('ZADD', KEYS[3], now, ARGV[1])
return {'claimed', redis.call('HGET', KEYS[2], ARGV[1]) or ''}
`;

/**
 * Extends the claim on a recovery before its next step, so that the process can't be revived during it. KEYS:
 * as above. ARGV: boot id, token of the claim, its life in ms. @returns 0 when another has the claim, or the
 * process is no longer dead
 */
const keepRecoveryScript = /* lua */ `
if redis.call('GET', KEYS[4]) ~= ARGV[2] or not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 0 end
return redis.call('PEXPIRE', KEYS[4], ARGV[3])
`;

/**
 * Ends the recovery of a dead process. KEYS: as above. ARGV: boot id, token of the claim. @returns 1 the
 * first time, 0 when another has the claim
 */
const recoveredScript = /* lua */ `
if redis.call('GET', KEYS[4]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[4])
return redis.call('ZREM', KEYS[1], ARGV[1])
`;

/**
 * Lets a process that was declared dead beat again, once no peer works on its recovery. KEYS: as above. ARGV:
 * boot id. @returns 1 when it may
 */
const reviveScript = /* lua */ `
if redis.call('EXISTS', KEYS[4]) == 1 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return 1
`;

/** Removes every trace of a process that stops. KEYS: as above. ARGV: boot id. */
const withdrawScript = /* lua */ `
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
`;

/**
 * Expires the locks that a dead process holds on jobs of a queue and marks these jobs for BullMQ's own check
 * for stalled jobs, which is due from now on. KEYS: the queue's active jobs, its stalled jobs, the marker of
 * its last check. ARGV: prefix of its jobs, prefix of the process's lock tokens.
 * @returns how many jobs it held
 */
const expireLocksScript = /* lua */ `
local held = 0
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local lock = ARGV[1] .. id .. ':lock'
  local token = redis.call('GET', lock)
  if token and string.sub(token, 1, #ARGV[2]) == ARGV[2] then
    redis.call('DEL', lock)
    redis.call('SADD', KEYS[2], id)
    held = held + 1
  end
end
if held > 0 then redis.call('DEL', KEYS[3]) end
return held
`;

const ofProcess = (boot: string): string[] => [
  keys.processBeats(),
  keys.processRecords(),
  keys.deadProcesses(),
  keys.processRecovery(boot),
];
const Boot = z.object({ boot: z.string() });
const Claim = Boot.extend({ claim: z.string() });

export const beat = defineScript({
  lua: beatScript,
  keys: () => [keys.processBeats(), keys.processRecords(), keys.deadProcesses()],
  args: Boot.extend({ deadAfterMs: z.number(), record: z.string(), most: z.number() }),
  answer: z
    .tuple([z.enum(['alive', 'dead']), z.number(), z.string()], z.string())
    .transform(([state, now, before, ...overdue]) => ({
      state,
      now,
      before: before === '' ? undefined : Number(before),
      overdue,
    })),
});

export const declareDead = defineScript({
  lua: declareDeadScript,
  keys: ofProcess,
  args: Claim.extend({ claimMs: z.number(), keptMs: z.number() }),
  answer: z.union([z.tuple([z.literal('claimed'), z.string()]), z.tuple([z.literal('kept')])]),
});

const ofBoot = { keys: ofProcess, args: Boot, answer: z.number() };
export const endRecovery = defineScript({ lua: recoveredScript, ...ofBoot, args: Claim });
export const keepRecovery = defineScript({
  lua: keepRecoveryScript,
  ...ofBoot,
  args: Claim.extend({ claimMs: z.number() }),
});
export const revive = defineScript({ lua: reviveScript, ...ofBoot });
export const withdraw = defineScript({ lua: withdrawScript, ...ofBoot });

const prefixOf = (queue: string): string => `${keys.bullmqPrefix(queue)}:${queue}:`;

export const expireLocks = defineScript({
  lua: expireLocksScript,
  keys: (queue: string) => ['active', 'stalled', 'stalled-check'].map((name) => `${prefixOf(queue)}${name}`),
  args: z.object({ jobs: z.string(), tokens: z.string() }),
  answer: z.number(),
});

/** The prefix of the names of a queue's jobs. */
export const jobPrefix = prefixOf;
