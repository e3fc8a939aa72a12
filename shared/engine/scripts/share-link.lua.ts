import { z } from 'zod';
import { keys } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * Records a share link until it expires, unless its owner has too many.
 * KEYS: share links (see `keys`). ARGV: id, the link as JSON, when it expires and now (ms since 1970), most
 * links. Fields are read as `<expiry in ms> <JSON>`. Returns 1, or 0 when there are too many.
 */
const shareLinkScript = /* lua */ `
local last, count = tonumber(ARGV[3]), 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local expires = tonumber(string.match(fields[i + 1], '^%d+')) or 0
  if expires <= tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[1], fields[i])
  else
    count, last = count + 1, math.max(last, expires)
  end
end
if count >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[2])
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last))
return 1
`;

export const addShareLink = defineScript({
  lua: shareLinkScript,
  keys: ({ userId }: { userId: string }) => [keys.shareLinks(userId)],
  args: z.object({
    id: z.string(),
    link: z.string(),
    expiresAt: z.number(),
    now: z.number(),
    maxLinks: z.number(),
  }),
  answer: z.number(),
});
