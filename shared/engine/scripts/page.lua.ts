import { z } from 'zod';
import { roomKeys } from '../keys.ts';
import { defineScript } from '../script.ts';

/**
 * Reads a piece of a log: rows from a position on, until they are enough in number or bytes. A row at the
 * position itself is not counted.
 *
 * KEYS: log. ARGV: position (an id, or '-' for the beginning), most rows, most bytes.
 * Returns {rows as of XRANGE, 1 when there may be more}.
 */
const pageScript = /* lua */ `
local position, most, most_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local rows, counted, bytes, from, step = {}, 0, 0, position, 4
while true do
  local part = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', step)
  for _, row in ipairs(part) do
    rows[#rows + 1] = row
    if row[1] ~= position then
      counted, bytes = counted + 1, bytes + #row[2][4]
      if counted >= most or bytes >= most_bytes then return {rows, 1} end
    end
  end
  if #part < step then return {rows, 0} end
  from, step = '(' .. part[#part][1], step * 2
end
`;

export const readPage = defineScript({
  lua: pageScript,
  keys: ({ owner, room }: { owner: string; room: string }) => [roomKeys.log(owner, room)],
  args: z.object({ position: z.string(), maxRows: z.number(), maxBytes: z.number() }),
  answer: z.tuple([z.array(z.tuple([z.string(), z.array(z.string())])), z.number()]),
});
