import { ZodError } from 'zod';

/**
 * Is the error the fault of the one record that was asked for, so that the next one may be read all the same? A key that
 * holds another type, or text that is not what it should be. A server that is away, loading or full is not.
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
