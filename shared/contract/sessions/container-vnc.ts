import { z } from 'zod';
import { defineSession } from '../command.ts';

const DAY_MS = 86_400_000;

/** Plain RFB of a desktop, on a connection of its own: what a stock VNC viewer speaks. */
export const containerVnc = defineSession({
  kind: 'container.vnc',
  summary: 'The desktop as an RFB 3.8 server without a password. Input is subject to control.',
  input: z.strictObject({}),
  result: z.object({
    inputsDropped: z
      .number()
      .int()
      .describe('Inputs that came without control, moves of the pointer left out.'),
  }),
  example: {},
  requires: ['running'],
  mode: 'control',
  maxMs: DAY_MS,
});
