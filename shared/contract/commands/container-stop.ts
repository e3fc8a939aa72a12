import { z } from 'zod';
import { defineJob } from '../command.ts';

/** Stops a container, or cancels its start: when it completes nothing of the container runs. */
export const containerStop = defineJob({
  kind: 'container.stop',
  http: {
    method: 'post',
    path: '/containers/{id}/stop',
    operationId: 'stopContainer',
    summary: 'Stop a desktop, or cancel its start',
    body: 'Nothing.',
  },
  lane: () => 'control',
  input: z.strictObject({}),
  result: z.object({ containerId: z.string() }),
  example: {},
  container: 'path',
  endedMessage: 'The desktop is {state} already: there is nothing to stop.',
  enters: 'stopping',
  once: 'stopJobId',
  keepsInput: false,
  counts: false,
  cancellable: false,
  retryable: true,
  onHostLost: 'completes',
  limits: ['user'],
  tool: {
    name: 'stop_container',
    title: 'Stop a desktop',
    description: 'Stops a desktop, or cancels its start. Its programs end and its files are removed.',
    hints: { readOnly: false, destructive: true, idempotent: true },
    waitMs: 50_000,
  },
});
