import { z } from 'zod';
import { defineJob } from '../command.ts';

/** Continues all programs of a paused container. */
export const containerResume = defineJob({
  kind: 'container.resume',
  http: {
    method: 'post',
    path: '/containers/{id}/resume',
    operationId: 'resumeContainer',
    summary: 'Resume a paused desktop',
    body: 'Nothing.',
  },
  lane: () => 'control',
  input: z.strictObject({}),
  result: z.object({ containerId: z.string() }),
  example: {},
  container: 'path',
  requires: ['running', 'paused'],
  once: 'resumeJobId',
  keepsInput: false,
  counts: false,
  cancellable: false,
  retryable: true,
  onHostLost: 'fails',
  limits: ['user'],
  tool: {
    name: 'resume_container',
    title: 'Resume a desktop',
    description: 'Continues all programs of a paused desktop, from where they were frozen.',
    hints: { readOnly: false, idempotent: true },
    waitMs: 50_000,
  },
});
