import { z } from 'zod';
import { defineJob } from '../command.ts';

/** Freezes all programs of a container in memory, until a request resumes it. */
export const containerPause = defineJob({
  kind: 'container.pause',
  http: {
    method: 'post',
    path: '/containers/{id}/pause',
    operationId: 'pauseContainer',
    summary: 'Pause a desktop',
    body: 'Nothing.',
  },
  lane: () => 'control',
  input: z.strictObject({}),
  result: z.object({ containerId: z.string() }),
  example: {},
  container: 'path',
  requires: ['running', 'paused'],
  once: 'pauseJobId',
  keepsInput: false,
  counts: false,
  cancellable: false,
  retryable: true,
  onHostLost: 'fails',
  limits: ['user'],
  tool: {
    name: 'pause_container',
    title: 'Pause a desktop',
    description:
      'Freezes all programs of a desktop in memory. Its time to live runs on. Until resume_container it can be stopped, extended and measured, and tools that use it fail with `paused`.',
    hints: { readOnly: false, idempotent: true },
    waitMs: 50_000,
  },
});
