import { z } from 'zod';
import { defineCall } from '../command.ts';
import { DesktopProcess } from '../programs.ts';

export const Processes = z
  .object({ items: z.array(DesktopProcess).describe('The oldest first.') })
  .meta({ id: 'Processes' });

/** Lists the processes that requests have started in a container. */
export const containerProcesses = defineCall({
  kind: 'container.processes',
  http: {
    method: 'get',
    path: '/containers/{id}/processes',
    operationId: 'listProcesses',
    summary: 'List the processes that requests started in a desktop',
  },
  input: z.strictObject({}),
  example: {},
  output: {
    description: 'The processes.',
    json: Processes,
    example: {
      items: [
        {
          id: '0198f0a2-5d3c-7c1e-9a3b-6f0e1d2c3b4a',
          pid: 42,
          cmd: ['sleep', '3600'],
          startedAt: '2026-11-25T09:00:00.250Z',
          state: 'running',
          tty: false,
          background: true,
        },
      ],
    },
  },
  requires: ['running'],
  claims: false,
  mode: 'control',
  timeoutMs: 10_000,
  maxResultBytes: 16 * 2 ** 20,
  limits: ['user'],
  tool: {
    name: 'list_processes',
    title: 'List processes',
    description:
      'Lists the processes that were started in a desktop by exec and the like, not those of its windows.',
    hints: { readOnly: true, idempotent: true },
  },
});
