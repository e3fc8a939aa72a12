import { badRequest } from '../http/errors.ts';
import type { Position } from './position.ts';

/** A position as clients get it: they hand it back as it is. */
export const writeCursor = ({ time, id }: Position): string =>
  btoa(`${time}:${id}`).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

export function readCursor(cursor: string): Position {
  const invalid = () => badRequest([{ path: 'cursor', message: 'use the nextCursor of an answer as it is' }]);
  if (!/^[A-Za-z0-9_-]+$/.test(cursor)) throw invalid();
  let text: string;
  try {
    text = atob(cursor.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    throw invalid();
  }
  // 14 digits end in the year 5138, long before a time that one of the stores could not name.
  const [, time, id] = /^(\d{1,14}):([A-Za-z0-9_-]{1,64})$/.exec(text) ?? [];
  if (time === undefined || id === undefined) throw invalid();
  return { time: Number(time), id };
}
