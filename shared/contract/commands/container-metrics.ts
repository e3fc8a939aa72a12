import { z } from 'zod';
import { defineCall } from '../command.ts';

const bytes = (what: string) => z.number().int().min(0).describe(`${what}, bytes.`);
const used = (of: string) => ({ usedBytes: bytes(`Used ${of}`), limitBytes: bytes('At most') });

export const ContainerMetrics = z
  .object({
    measuredAt: z.iso.datetime().describe('When it was measured, in UTC.'),
    cpuSeconds: z.number().min(0).describe('CPU time since the start of the desktop.'),
    cpuPercent: z
      .number()
      .min(0)
      .optional()
      .describe('Since the last measurement, at least 0.2 s before: 100 is one CPU.'),
    memory: z.object(used('memory')).describe('Memory, with the files of a home that is in memory.'),
    home: z.object(used('space')).optional().describe('Left out while the desktop is paused.'),
    network: z
      .object({
        receivedBytes: bytes('Received on all interfaces but the loopback'),
        sentBytes: bytes('Sent'),
      })
      .describe('The interfaces of the desktop: it has none without egress.'),
    processes: z.number().int().min(0).optional().describe('Left out while the desktop is paused.'),
    threads: z.number().int().min(0).describe('Threads of all processes.'),
  })
  .meta({ id: 'ContainerMetrics' });
export type ContainerMetrics = z.infer<typeof ContainerMetrics>;

/** Measures what a container uses of its limits. */
export const containerMetrics = defineCall({
  kind: 'container.metrics',
  http: {
    method: 'get',
    path: '/containers/{id}/metrics',
    operationId: 'containerMetrics',
    summary: 'Measure what a desktop uses of its limits',
    description: 'It is no use of the desktop: it does not resume a paused one, and its idle time runs on.',
  },
  input: z.strictObject({}),
  example: {},
  output: {
    description: 'The use of its resources.',
    json: ContainerMetrics,
    example: {
      measuredAt: '2026-11-25T09:00:00.250Z',
      cpuSeconds: 12.5,
      cpuPercent: 34.2,
      memory: { usedBytes: 134_217_728, limitBytes: 536_870_912 },
      home: { usedBytes: 1_048_576, limitBytes: 134_217_728 },
      network: { receivedBytes: 0, sentBytes: 0 },
      processes: 14,
      threads: 41,
    },
  },
  requires: ['running', 'paused'],
  claims: false,
  isUse: false,
  mode: 'control',
  timeoutMs: 10_000,
  maxResultBytes: 16 * 1024,
  limits: ['user'],
  tool: {
    name: 'desktop_metrics',
    title: 'Measure a desktop',
    description: 'Measures what a desktop uses now: CPU, memory, its home, network, processes.',
    hints: { readOnly: true, idempotent: true },
  },
});
