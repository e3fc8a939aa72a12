import { z } from '@hono/zod-openapi';
import { badRequest } from '../http/errors.ts';
import { readCursor } from './cursor.ts';
import type { Position } from './position.ts';

const Time = z.iso.datetime({
  offset: true,
  error: 'use ISO 8601 with Z or an offset (in a URL + is %2B)',
});

/** The query parameters of every list. */
export const PageShape = {
  cursor: z.string().max(200).optional().describe('`nextCursor` of the page before.'),
  limit: z.coerce.number({ error: 'use a number from 1 to 100' }).int().min(1).max(100).default(20),
  since: Time.optional().describe('Only what was created then or later: ISO 8601 with Z or an offset.'),
  until: Time.optional().describe('Only what was created before: ISO 8601 with Z or an offset.'),
};
type PageQuery = z.output<z.ZodObject<typeof PageShape>>;

/** The part of a list that is requested; times in ms. */
export type PageRequest = {
  limit: number;
  since: number | undefined;
  until: number | undefined;
  before: Position | undefined;
};

/** The latest time that both stores can represent, ms: the end of the year 9999. */
const LATEST_MS = 253_402_300_799_999;

export function readPageRequest({ cursor, limit, since, until }: PageQuery): PageRequest {
  const from = since === undefined ? undefined : toMs(since);
  const to = until === undefined ? undefined : toMs(until);
  if (from !== undefined && to !== undefined && from >= to) {
    throw badRequest([{ path: 'until', message: 'use a time after since' }]);
  }
  return { limit, since: from, until: to, before: cursor === undefined ? undefined : readCursor(cursor) };
}

/** Nothing was created before 1970. */
const toMs = (text: string): number => Math.min(Math.max(Date.parse(text), 0), LATEST_MS);
