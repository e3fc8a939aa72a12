import type { Command } from './transport.ts';

type Fields = Record<string, string | number>;

const limit = (threshold: number | undefined, approximate: boolean | undefined): Command =>
  threshold === undefined ? [] : ['MAXLEN', ...(approximate ? ['~'] : []), threshold];
const scores = (options?: { WITHSCORES?: boolean }): Command => (options?.WITHSCORES ? ['WITHSCORES'] : []);
const expiry = (options?: { PX?: number; EX?: number }): Command => {
  if (options?.PX !== undefined) return ['PX', options.PX];
  return options?.EX !== undefined ? ['EX', options.EX] : [];
};

/** BullMQ's plain commands: each turns structured arguments into the command for Redis. */
export const COMMANDS = {
  get: (key: string): Command => ['GET', key],
  set: (key: string, value: string | number, options?: { PX?: number; EX?: number }): Command => [
    'SET',
    key,
    value,
    ...expiry(options),
  ],
  del: (...keys: string[]): Command => ['DEL', ...keys],
  hget: (key: string, field: string): Command => ['HGET', key, field],
  hgetall: (key: string): Command => ['HGETALL', key],
  hmget: (key: string, ...fields: string[]): Command => ['HMGET', key, ...fields],
  hset: (key: string, data: Fields): Command => ['HSET', key, ...Object.entries(data).flat()],
  hdel: (key: string, ...fields: string[]): Command => ['HDEL', key, ...fields],
  hexists: (key: string, field: string): Command => ['HEXISTS', key, field],
  hscan: (key: string, cursor: string | number, options?: { COUNT?: number }): Command => [
    'HSCAN',
    key,
    cursor,
    'COUNT',
    options?.COUNT ?? 100,
  ],
  zrange: (key: string, start: number, end: number, options?: { WITHSCORES?: boolean }): Command => [
    'ZRANGE',
    key,
    start,
    end,
    ...scores(options),
  ],
  zrevrange: (key: string, start: number, end: number, options?: { WITHSCORES?: boolean }): Command => [
    'ZREVRANGE',
    key,
    start,
    end,
    ...scores(options),
  ],
  zcard: (key: string): Command => ['ZCARD', key],
  zscore: (key: string, member: string): Command => ['ZSCORE', key, member],
  lrange: (key: string, start: number, end: number): Command => ['LRANGE', key, start, end],
  llen: (key: string): Command => ['LLEN', key],
  ltrim: (key: string, start: number, end: number): Command => ['LTRIM', key, start, end],
  lpos: (key: string, value: string): Command => ['LPOS', key, value],
  smembers: (key: string): Command => ['SMEMBERS', key],
  sscan: (key: string, cursor: string | number, options?: { COUNT?: number }): Command => [
    'SSCAN',
    key,
    cursor,
    'COUNT',
    options?.COUNT ?? 100,
  ],
  xadd: (
    key: string,
    id: string,
    fields: Fields,
    options?: { MAXLEN?: number; approximate?: boolean },
  ): Command => [
    'XADD',
    key,
    ...limit(options?.MAXLEN, options?.approximate),
    id,
    ...Object.entries(fields).flat(),
  ],
  xtrim: (
    key: string,
    _strategy: 'MAXLEN',
    threshold: number,
    options?: { approximate?: boolean },
  ): Command => ['XTRIM', key, ...limit(threshold, options?.approximate)],
  scan: (cursor: string | number, options: { MATCH?: string; COUNT?: number }): Command => [
    'SCAN',
    cursor,
    ...(options.MATCH === undefined ? [] : ['MATCH', options.MATCH]),
    ...(options.COUNT === undefined ? [] : ['COUNT', options.COUNT]),
  ],
};
