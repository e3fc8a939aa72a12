import { z } from 'zod';
import { defineCall } from '../command.ts';

/** Ends a call with effects that runs or waits for its turn. */
export const containerAbortCall = defineCall({
  kind: 'container.abort-call',
  http: {
    method: 'delete',
    path: '/containers/{id}/calls/{key}',
    operationId: 'abortCall',
    summary: 'Abort a call to a desktop',
    description:
      'Ends the call, running or waiting, that was sent with this `Idempotency-Key`. A client that disconnects aborts its call too, but a proxy or server may notice that only when it answers.',
  },
  input: z.strictObject({
    key: z
      .string()
      .regex(/^[\x21-\x7e]{1,255}$/, 'use 1-255 visible ASCII characters')
      .describe('The `Idempotency-Key` of the call.'),
  }),
  example: { key: '3f2a9d0c' },
  output: {
    description: 'Whether such a call was aborted.',
    json: z
      .object({
        aborted: z.boolean().describe('`false` when no such call runs: it has ended or not arrived.'),
      })
      .meta({ id: 'AbortedCall' }),
    example: { aborted: true },
  },
  requires: ['running'],
  claims: false,
  mode: 'control',
  timeoutMs: 5000,
  maxResultBytes: 1024,
  limits: ['user'],
});
