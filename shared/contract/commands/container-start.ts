import { z } from 'zod';
import { defineJob } from '../command.ts';
import { StartContainer } from '../containers.ts';

/** Starts a container: a host takes it, creates it and waits for the first byte of its screen. */
export const containerStart = defineJob({
  kind: 'container.start',
  http: {
    method: 'post',
    path: '/containers/start',
    operationId: 'startContainer',
    summary: 'Start a desktop',
    body: 'All optional; an empty body starts the default.',
  },
  lane: () => 'placements',
  input: StartContainer,
  result: z.object({
    containerId: z.string(),
    width: z.number().int(),
    height: z.number().int(),
    warm: z.boolean().optional().describe('True when it was taken from the warm pool.'),
  }),
  example: { width: 1280, height: 720, ttlSeconds: 600, name: 'My desk', labels: { team: 'design' } },
  container: 'creates',
  keepsInput: false,
  counts: true,
  cancellable: true,
  retryable: true,
  onHostLost: 'fails',
  limits: ['user', 'containers.start'],
  tool: {
    name: 'start_container',
    title: 'Start a desktop',
    description:
      'Starts a Linux desktop and waits until it runs. The result names its containerId, which the other tools take. ' +
      'Stop it with stop_container when it is no longer needed.',
    input: StartContainer.omit({ gpus: true, snapshot: true, webhookUrl: true }),
    hints: { readOnly: false },
    waitMs: 50_000,
  },
});
