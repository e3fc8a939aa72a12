import { z } from 'zod';
import { defineSession } from '../command.ts';
import { TerminalCommand, TerminalExit, TerminalId, TerminalOffset, TerminalSize } from './terminal.ts';

const DAY_MS = 86_400_000;

/**
 * A terminal of a container. The session is one attachment: it carries the messages of
 * `shared/runtime/session/terminal-stream.ts`, and the terminal outlives it.
 */
export const containerTerminal = defineSession({
  kind: 'container.terminal',
  summary: 'A terminal: a new one, an attachment to an existing one, or its end.',
  input: z.union([
    TerminalSize.extend({ cmd: TerminalCommand.optional() }).describe('Opens a terminal.'),
    z
      .strictObject({ ttyId: TerminalId, after: TerminalOffset.default(0) })
      .describe('Attaches to a terminal: its output follows from `after` on.'),
    z
      .strictObject({ ttyId: TerminalId, close: z.literal(true) })
      .describe('Ends a terminal and every process that it started.'),
  ]),
  result: TerminalExit.partial(),
  example: { cols: 80, rows: 24 },
  requires: ['running'],
  mode: 'control',
  maxMs: DAY_MS,
  windowBytes: 512 * 1024,
});
