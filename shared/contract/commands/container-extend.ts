import { z } from 'zod';
import { defineCall } from '../command.ts';
import { TtlSeconds } from '../containers.ts';

/** Sets when the time to live of a container ends. */
export const containerExtend = defineCall({
  kind: 'container.extend',
  http: {
    method: 'post',
    path: '/containers/{id}/extend',
    operationId: 'extendContainer',
    summary: 'Extend the time to live of a desktop',
    description:
      'The desktop is stopped `ttlSeconds` after this request, instead of when its time to live would have ended before. A paused desktop stays paused.',
  },
  input: z
    .strictObject({
      ttlSeconds: TtlSeconds.describe('Seconds from now after which the desktop is stopped.'),
    })
    .meta({ id: 'ExtendContainer' }),
  example: { ttlSeconds: 3600 },
  output: {
    description: 'The new end of its time to live.',
    json: z
      .object({ expiresAt: z.iso.datetime().describe('When its time to live ends, in UTC.') })
      .meta({ id: 'ExtendedContainer' }),
    example: { expiresAt: '2026-11-25T11:00:00.250Z' },
  },
  requires: ['running', 'paused'],
  claims: true,
  concurrent: true,
  mode: 'control',
  timeoutMs: 10_000,
  maxResultBytes: 1024,
  limits: ['user'],
  tool: {
    name: 'extend_container',
    title: 'Extend a desktop',
    description: 'Lets a desktop run for `ttlSeconds` from now, before it is stopped automatically.',
    hints: { readOnly: false },
  },
});
