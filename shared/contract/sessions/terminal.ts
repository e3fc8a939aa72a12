import { z } from 'zod';
import { ERROR_STATUS, type ErrorCode } from '../errors.ts';
import { SessionOffset } from './codes.ts';

/** Bytes of output that a terminal keeps for an attachment. */
export const TERMINAL_SCROLLBACK_BYTES = 256 * 1024;
/** Most open terminals of a container. */
export const MAX_TERMINALS = 8;

const Cells = z.number().int().min(1).max(1000);

/** The size of a terminal in characters. */
export const TerminalSize = z.strictObject({ cols: Cells, rows: Cells });
export type TerminalSize = z.infer<typeof TerminalSize>;

/** The id of a terminal: the session that opened it. */
export const TerminalId = z.string().max(200).describe('As `tty:open` returned it.');

/** A position in the output of a terminal: the number of bytes before it since the terminal was opened. */
export const TerminalOffset = SessionOffset;

const Argument = z
  .string()
  .max(4096)
  .regex(/^[^\0]*$/, 'a program takes no NUL character');

/** The program of a terminal and its arguments. */
export const TerminalCommand = z
  .tuple([Argument.min(1)], Argument)
  .refine((cmd) => cmd.length <= 64, 'at most 64 arguments')
  .describe('The program and its arguments; a login shell if left out.');

/** The end of a terminal's program. */
export const TerminalExit = z.object({
  code: z.number().int().nullable().describe('The exit code of the program; null when a signal ended it.'),
  signal: z.string().optional().describe('The signal that ended the program.'),
});
export type TerminalExit = z.infer<typeof TerminalExit>;

/** The notices of a terminal's host. `attached` or `refused` is its first message. */
export const TerminalNotice = z.discriminatedUnion('t', [
  z.object({ t: z.literal('attached'), ttyId: z.string(), offset: SessionOffset }),
  z.object({
    t: z.literal('refused'),
    code: z.enum(Object.keys(ERROR_STATUS) as ErrorCode[]),
    message: z.string(),
  }),
  /** The output continues at `offset`: bytes before it were overwritten. */
  z.object({ t: z.literal('gap'), offset: SessionOffset }),
]);
export type TerminalNotice = z.infer<typeof TerminalNotice>;

/** The requests of a terminal's client. */
export const TerminalRequest = TerminalSize.extend({ t: z.literal('size') });
export type TerminalRequest = z.infer<typeof TerminalRequest>;
