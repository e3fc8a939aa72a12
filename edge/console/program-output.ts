import type { Envelope } from '@warmwind/shared/contract/rooms';

/** The output that is shown, characters: its last ones. */
const MOST = 64 * 1024;

/** The output of a program as the console shows it: both streams in the order in which they were published. */
export type ProgramOutput = { text: string; isIncomplete: boolean; end?: string };

export const NO_OUTPUT: ProgramOutput = { text: '', isIncomplete: false };

/** Applies an event of the job to the output. Bytes that are no text are shown by their number. */
export function withOutput(now: ProgramOutput, { type, data }: Envelope): ProgramOutput {
  if (type === 'job.output') {
    const text = 'text' in data ? data.text : `[${base64Bytes(data.base64)} bytes]\n`;
    const all = now.text + text;
    return { ...now, text: all.slice(-MOST), isIncomplete: now.isIncomplete || all.length > MOST };
  }
  if (type === 'job.snapshot') return { ...now, isIncomplete: true };
  if (type === 'job.completed') return { ...now, end: endOf(data.result) };
  return now;
}

const base64Bytes = (text: string): number => (text.length / 4) * 3 - (text.match(/=+$/)?.[0].length ?? 0);

function endOf(result: unknown): string {
  const { exitCode, signal, processId } = (result ?? {}) as Record<string, unknown>;
  if (typeof processId === 'string') return 'runs in the background';
  return typeof signal === 'string' ? `ended by ${signal}` : `exit code ${exitCode}`;
}
