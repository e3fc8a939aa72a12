import { badRequest } from '../http/errors.ts';
import type { Position } from './position.ts';

/** Encodes a position as the opaque cursor for clients. */
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
  // 14 digits reach the year 5138, which both stores can represent.
  const [, time, id] = /^(\d{1,14}):([A-Za-z0-9_.-]{1,100})$/.exec(text) ?? [];
  if (time === undefined || id === undefined) throw invalid();
  return { time: Number(time), id };
}
