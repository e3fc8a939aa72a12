import { z } from 'zod';
import { Incarnation } from '../envelope.ts';
import { ERROR_STATUS, type ErrorCode } from '../errors.ts';
import { Binary } from './binary.ts';
import { TerminalCommand, TerminalExit, TerminalId, TerminalOffset, TerminalSize } from './terminal.ts';

const OfTerminal = z.strictObject({ ttyId: TerminalId });
const TTY = '7d1f6f0e-64e5-4d7c-9f43-7d0b3c1d2a10.5b0f2c1a-0b7f-4a57-8a3e-1f1f6a1f0c55';

/** A terminal while this connection is attached to it. */
const Attached = z.object({
  ttyId: TerminalId,
  incarnation: Incarnation,
  offset: TerminalOffset.describe(
    'Output follows from here on; greater than `after` when older output was overwritten.',
  ),
});

/** The events of terminals that a client sends to the relay: see `CLIENT_EVENTS`. */
export const TERMINAL_CLIENT_EVENTS = {
  'tty:open': {
    summary: 'Opens a terminal in a container, for its owner, and attaches to it.',
    argument: TerminalSize.extend({
      containerId: z.string().max(64).describe('Id of the container.'),
      incarnation: Incarnation.optional().describe(
        'Refused when the container has another incarnation by now.',
      ),
      cmd: TerminalCommand.optional(),
    }),
    answer: Attached,
    example: { containerId: TTY.slice(0, 36), cols: 80, rows: 24, cmd: ['bash', '-l'] },
  },
  'tty:attach': {
    summary: 'Attaches to a terminal over this connection: its output follows from `after` on.',
    argument: OfTerminal.extend({ after: TerminalOffset.default(0).describe('Bytes of output received.') }),
    answer: Attached,
    example: { ttyId: TTY, after: 4096 },
  },
  'tty:data': {
    summary: 'Input, at most 60 KB.',
    argument: OfTerminal.extend({
      offset: TerminalOffset.optional().describe(
        'Bytes of input that this attachment has sent before: input is refused after a gap.',
      ),
      bytes: Binary,
    }),
    answer: z.object({
      received: TerminalOffset.describe('Bytes of input that this attachment has accepted.'),
    }),
    example: { ttyId: TTY, offset: 0, bytes: 'ls -l\n' },
  },
  'tty:resize': {
    summary: 'Sets the size of a terminal for all its attachments.',
    argument: OfTerminal.extend(TerminalSize.shape),
    answer: z.object({}),
    example: { ttyId: TTY, cols: 120, rows: 40 },
  },
  'tty:detach': {
    summary: 'Ends the attachment of this connection. The terminal continues.',
    argument: OfTerminal,
    answer: z.object({}),
    example: { ttyId: TTY },
  },
  'tty:close': {
    summary: 'Ends a terminal and every process that it started; answers when they are gone.',
    argument: OfTerminal,
    answer: TerminalExit.partial(),
    example: { ttyId: TTY },
  },
} as const;

/** The events of terminals that the relay sends: see `RELAY_EVENTS`. */
export const TERMINAL_RELAY_EVENTS = {
  'tty:data': {
    summary:
      'Output, in order. An offset beyond the end of the output before it is a gap: it was overwritten.',
    args: z.tuple([
      OfTerminal.extend({
        offset: TerminalOffset.describe('Bytes of output before it, since the terminal was opened.'),
        bytes: Binary,
      }),
    ]),
    example: [{ ttyId: TTY, offset: 4096, bytes: 'total 0\r\n' }],
  },
  'tty:exit': {
    summary: 'The program of a terminal has ended, and all its output was sent.',
    args: z.tuple([TerminalExit.extend({ ttyId: TerminalId })]),
    example: [{ ttyId: TTY, code: 0 }],
  },
  'tty:detached': {
    summary: 'This connection is no longer attached to a terminal: the code names the reason.',
    args: z.tuple([
      z.object({
        ttyId: TerminalId,
        code: z
          .enum(Object.keys(ERROR_STATUS) as ErrorCode[])
          .describe('`unavailable`: attach again; any other: the terminal has ended.'),
        message: z.string().describe('The next step.'),
      }),
    ]),
    example: [{ ttyId: TTY, code: 'unavailable', message: 'The host does not answer: attach again.' }],
  },
} as const satisfies Record<string, { summary: string; args: z.ZodTuple; example: unknown }>;
