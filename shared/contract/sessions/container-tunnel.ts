import { z } from 'zod';
import { defineSession } from '../command.ts';

const DAY_MS = 86_400_000;

/** A TCP connection to a port inside a container. */
export const containerTunnel = defineSession({
  kind: 'container.tunnel',
  summary: 'A TCP connection to a port of 127.0.0.1 inside the container, such as 9222 of Chromium.',
  input: z.strictObject({ port: z.number().int().min(1).max(65_535).describe('The TCP port.') }),
  result: z.object({}),
  example: { port: 9222 },
  requires: ['running'],
  mode: 'control',
  maxMs: DAY_MS,
});
