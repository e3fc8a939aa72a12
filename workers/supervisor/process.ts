import { z } from 'zod';

const Offset = z.int().min(0);
const Span = z.object({ from: Offset, to: Offset });

/** A program that the supervisor started. Times are ms since 1970. */
export const SupervisedProcess = z.object({
  id: z.string().regex(/^[\w-]{1,64}$/),
  /** In the container. */
  pid: z.int().min(1),
  cmd: z.array(z.string()).min(1).max(1024),
  startedAt: z.int(),
  endedAt: z.int().optional(),
  state: z.enum(['running', 'ended']),
  /** Of a program that ended by itself. */
  exitCode: z.int().min(0).max(255).optional(),
  /** Of a program that a signal ended, such as `SIGKILL`. */
  signal: z.string().max(16).optional(),
  /** Whether its time-out ended it. */
  timedOut: z.boolean().optional(),
  tty: z.boolean(),
  background: z.boolean(),
  /** Offsets of the first byte that is kept and of the end. A terminal has `stdout` alone. */
  stdout: Span,
  stderr: Span,
});
export type SupervisedProcess = z.infer<typeof SupervisedProcess>;

export const ProcessList = z.object({ items: z.array(SupervisedProcess).max(64) });
export const Health = z.object({ version: z.int().min(1) });
const Amount = z.int().min(0);
/** What a container uses: CPU time in ns, and bytes. The kernel may not show a field that is optional. */
export const Usage = z.object({
  cpuNs: Amount.optional(),
  memoryUsed: Amount.optional(),
  memoryLimit: Amount.optional(),
  homeUsed: Amount.optional(),
  homeLimit: Amount.optional(),
  received: Amount,
  sent: Amount,
  processes: Amount,
  threads: Amount.optional(),
});
export type Usage = z.infer<typeof Usage>;
export const Refusal = z.object({ code: z.string().regex(/^[a-z_]{1,40}$/), message: z.string().max(1000) });

/** A size in characters, 1 to 1000 each. */
export type TerminalSize = { cols: number; rows: number };

/** A program to start. */
export type ProcessRequest = {
  /** The program and its arguments, at most 256 KiB with `env`. A name without `/` is looked up in PATH. */
  cmd: string[];
  /** An absolute path; the home by default. */
  cwd?: string | undefined;
  /** Set in addition to the container's environment. */
  env?: Record<string, string> | undefined;
  /** At most 64 KiB, after which its input ends. Without it, its input is empty. */
  stdin?: Uint8Array | undefined;
  /** Gives it a terminal of this size in place of pipes. */
  tty?: TerminalSize | undefined;
  /** Ends it and every descendant, ms. */
  timeoutMs?: number | undefined;
  /** The last 256 KiB of its output are kept, and it never waits for an acknowledgement. */
  background?: boolean | undefined;
};

export type StreamName = 'stdout' | 'stderr';
