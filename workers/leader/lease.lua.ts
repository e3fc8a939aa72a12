import { defineScript } from '@warmwind/shared/engine/script';
import { z } from 'zod';

/**
 * Takes a free lease, or renews the caller's own.
 * KEYS: lease. ARGV: holder, time in ms.
 * @returns the present holder
 */
const holdLeaseScript = /* lua */ `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
`;

/** Releases the caller's own lease. KEYS: lease. ARGV: holder. @returns 1 when it was held */
const releaseLeaseScript = /* lua */ `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`;

const keys = ({ key }: { key: string }): string[] => [key];

export const holdLease = defineScript({
  lua: holdLeaseScript,
  keys,
  args: z.object({ holder: z.string(), ttlMs: z.number() }),
  answer: z.string(),
});

export const releaseLease = defineScript({
  lua: releaseLeaseScript,
  keys,
  args: z.object({ holder: z.string() }),
  answer: z.number(),
});
