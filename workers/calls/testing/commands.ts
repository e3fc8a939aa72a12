import { defineCall } from '@warmwind/shared/contract/command';
import { z } from 'zod';

const common = {
  example: { n: 1 },
  requires: ['running'],
  mode: 'control',
  timeoutMs: 10_000,
  limits: ['user'],
} as const;
const input = z.strictObject({ n: z.number().int().max(1_000_000) });
const json = {
  description: 'The result.',
  json: z.object({ n: z.number(), text: z.string().optional() }),
  example: { n: 1 },
};

/** A call with effects. */
export const poke = defineCall({
  ...common,
  kind: 'test.poke',
  http: { method: 'post', path: '/containers/{id}/poke', operationId: 'poke', summary: 'Poke' },
  input,
  output: json,
  claims: true,
  maxResultBytes: 200_000,
});

/** A call with effects whose text is not kept when it is large. */
export const print = defineCall({
  ...common,
  kind: 'test.print',
  http: { method: 'post', path: '/containers/{id}/print', operationId: 'print', summary: 'Print' },
  input,
  output: json,
  claims: true,
  maxResultBytes: 200_000,
  kept: ({ n }) => ({ n }),
});

/** A read. */
export const peek = defineCall({
  ...common,
  kind: 'test.peek',
  http: { method: 'post', path: '/containers/{id}/peek', operationId: 'peek', summary: 'Peek' },
  input,
  output: json,
  claims: false,
  mode: 'view',
  maxResultBytes: 200_000,
});

/** A read that is no use of the container. */
export const glance = defineCall({
  ...common,
  kind: 'test.glance',
  http: { method: 'post', path: '/containers/{id}/glance', operationId: 'glance', summary: 'Glance' },
  input,
  output: json,
  claims: false,
  isUse: false,
  maxResultBytes: 200_000,
});
