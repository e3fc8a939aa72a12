import { z } from 'zod';
import { defineCall } from '../command.ts';

/** Ends a process of a container, and every process that it started. */
export const containerEndProcess = defineCall({
  kind: 'container.end-process',
  http: {
    method: 'delete',
    path: '/containers/{id}/processes/{processId}',
    operationId: 'endProcess',
    summary: 'End a process of a desktop',
    description:
      'Ends the process and every process that it started, those with a session of their own included.',
  },
  input: z.strictObject({
    processId: z.string().min(1).max(200).describe('Id of the process, as the list names it.'),
  }),
  example: { processId: '0198f0a2-5d3c-7c1e-9a3b-6f0e1d2c3b4a' },
  output: {
    description: 'It has ended.',
    json: z.object({ processId: z.string().describe('Id of the process.') }).meta({ id: 'EndedProcess' }),
    example: { processId: '0198f0a2-5d3c-7c1e-9a3b-6f0e1d2c3b4a' },
  },
  requires: ['running'],
  claims: true,
  concurrent: true,
  mode: 'control',
  timeoutMs: 20_000,
  maxResultBytes: 1024,
  limits: ['user'],
  tool: {
    name: 'end_process',
    title: 'End a process',
    description: 'Ends a process of list_processes, and every process that it started.',
    hints: { readOnly: false, destructive: true, idempotent: true },
  },
});
