/**
 * Part of scripts that change records: `record_of(key)` is a record as a table; `changed(stream, record,
 * max)` appends the record, as it is now, to its owner's stream of changes, from which it goes into the
 * ledger. `max` bounds the stream, exactly; '' means there is no ledger. It returns the entry's id, its
 * `seq`. An entry has `k` ('job' or 'container'), `t` (ms, when it was made) and `r` (the record without
 * `spec`, JSON).
 */
export const changesLua = /* lua */ `
local function record_of(key)
  local flat, fields = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end
local function changed(stream, kind, record, max)
  if max == '' then return '' end
  local fields = record_of(record)
  fields.spec = nil
  local time = redis.call('TIME')
  local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
  return redis.call('XADD', stream, 'MAXLEN', max, '*', 'k', kind, 't', now, 'r', cjson.encode(fields))
end
`;
