import { z } from 'zod';
import { CallOutcome } from '../../contract/call-wire.ts';
import { jsonText } from '../../runtime/json.ts';
import { callKeys } from '../keys.ts';
import { defineScript } from '../script.ts';

type Claim = { containerId: string; claimHash: string };
const keysOf = ({ containerId, claimHash }: Claim): string[] => [callKeys.claim(containerId, claimHash)];

/**
 * Claims a call before its first effect. Fields: `hash` of the input, `holder` (the process that carries it
 * out), and once it has ended `outcome` (`CallOutcome` as JSON) and `answer`.
 * KEYS: claim. ARGV: input hash, holder, TTL in ms.
 * Returns {'claimed'} · {'conflict'} (the key was used for another input) · {'ended', outcome, answer} ·
 * {'held', holder}.
 */
const claimScript = /* lua */ `
local f = redis.call('HMGET', KEYS[1], 'hash', 'holder', 'outcome', 'answer')
if not f[1] then
  redis.call('HSET', KEYS[1], 'hash', ARGV[1], 'holder', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'claimed'}
end
if f[1] ~= ARGV[1] then return {'conflict'} end
if f[3] then return {'ended', f[3], f[4] or ''} end
return {'held', f[2]}
`;

export const claimCall = defineScript({
  lua: claimScript,
  keys: keysOf,
  args: z.object({ inputHash: z.string(), holder: z.string(), ttlMs: z.number() }),
  answer: z.union([
    z.tuple([z.literal('claimed')]),
    z.tuple([z.literal('conflict')]),
    z.tuple([z.literal('ended'), jsonText(CallOutcome), z.string()]),
    z.tuple([z.literal('held'), z.string()]),
  ]),
});

/**
 * Keeps the outcome of a call for requests with the same key.
 * KEYS: claim. ARGV: holder, outcome as JSON, answer, TTL in ms. Returns 1, or 0 when the claim is no longer
 * the holder's.
 */
const settleScript = /* lua */ `
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'outcome', ARGV[2], 'answer', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`;

export const settleCall = defineScript({
  lua: settleScript,
  keys: keysOf,
  args: z.object({ holder: z.string(), outcome: z.string(), answer: z.string(), ttlMs: z.number() }),
  answer: z.number(),
});
