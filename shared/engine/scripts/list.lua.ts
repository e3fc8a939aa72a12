import { z } from 'zod';
import { defineScript } from '../script.ts';

/** Begins the name of a label among the fields that are wanted. */
export const LABEL_PREFIX = 'labels.';

/**
 * One page of a user's jobs or desktops, newest first, from an index (sorted set: id by creation time) and
 * the records it names. At most `scan` entries are read, so a page may be short and still have a successor.
 *
 * KEYS: index. ARGV: record key prefix, limit, scan, oldest and newest time that are listed (bounds as of
 * ZREVRANGEBYSCORE), id at the newest time after which the page begins ('' for its first), then pairs of
 * field and wanted value; a field `labels.<name>` is that label of the record.
 * Returns {next time, next id, list of records as flat field lists}; next is '' at the end.
 */
const listScript = /* lua */ `
local index, prefix = KEYS[1], ARGV[1]
local limit, scan = tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest, newest, after = ARGV[4], ARGV[5], ARGV[6]
local items, scanned, offset = {}, 0, 0
local last_time, last_id = '', ''

local function labels_of(fields)
  local read, labels = pcall(cjson.decode, fields.labels or '{}')
  return read and type(labels) == 'table' and labels or {}
end
local function wanted(record)
  local fields, labels = {}, nil
  for i = 1, #record, 2 do fields[record[i]] = record[i + 1] end
  for i = 7, #ARGV, 2 do
    local value
    if string.sub(ARGV[i], 1, ${LABEL_PREFIX.length}) == '${LABEL_PREFIX}' then
      labels = labels or labels_of(fields)
      value = labels[string.sub(ARGV[i], ${LABEL_PREFIX.length + 1})]
    else
      value = fields[ARGV[i]]
    end
    if value ~= ARGV[i + 1] then return false end
  end
  return true
end

while true do
  local page = redis.call('ZREVRANGEBYSCORE', index, newest, oldest, 'WITHSCORES', 'LIMIT', offset, 64)
  if #page == 0 then return {'', '', items} end
  offset = offset + #page / 2
  for i = 1, #page, 2 do
    local id, time = page[i], page[i + 1]
    if after == '' or time ~= newest or id < after then
      if #items == limit or scanned == scan then return {last_time, last_id, items} end
      scanned = scanned + 1
      last_time, last_id = time, id
      -- A record that can't be read does not hide the others.
      local record = redis.pcall('HGETALL', prefix .. id)
      if not record.err and #record > 0 and wanted(record) then items[#items + 1] = record end
    end
  end
end
`;

export const listRecords = defineScript({
  lua: listScript,
  keys: ({ index }: { index: string }) => [index],
  args: z.object({
    prefix: z.string(),
    limit: z.number(),
    scan: z.number(),
    oldest: z.string(),
    newest: z.string(),
    after: z.string(),
  }),
  answer: z.tuple([z.string(), z.string(), z.array(z.array(z.string()))]),
});
