import { ZodError } from 'zod';

/**
 * Whether the error is caused by this one record, so that the next one may still be read. Such a record has a
 * key of another type, or malformed text. A server that is unavailable, loading or full is not the record's
 * fault.
 */
export function isRecordFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (
    error instanceof ZodError ||
    error instanceof SyntaxError ||
    error instanceof TypeError ||
    error instanceof RangeError
  )
    return true;
  return error.name === 'ReplyError' && /^(WRONGTYPE|ERR) /.test(error.message);
}
