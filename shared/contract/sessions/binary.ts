import { z } from 'zod';

/** Bytes in an event of the socket: Socket.IO sends them as an attachment. */
export const Binary = z
  .unknown()
  .meta({ type: 'string', format: 'binary' })
  .transform((value, context) => {
    if (value instanceof Uint8Array) return value;
    context.addIssue('send it as binary');
    return z.NEVER;
  });
