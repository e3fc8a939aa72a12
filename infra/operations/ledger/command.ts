import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';

/** Wrong use of a command, or a state that the operator has to change first. The message names the remedy. */
export class CommandRefusedError extends Error {
  override name = 'CommandRefusedError';
}

/**
 * Runs an operator's command to its exit code: 0 done, 1 failed or incomplete, 2 refused. Only messages are
 * printed: other fields of libraries' errors may hold a password.
 */
export async function run(work: (report: (text: string) => void) => Promise<boolean>): Promise<void> {
  process.stdout.on('error', () => undefined);
  let code = 1;
  try {
    if (await work((text) => process.stdout.write(`${text}\n`))) code = 0;
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    if (error instanceof CommandRefusedError || isWrongCall(error)) code = 2;
  }
  // An abandoned connection would keep the process alive.
  process.exit(code);
}

/** Formats counts by name, one a line. */
export function table(rows: Record<string, number>): string {
  const names = Object.keys(rows);
  const name = Math.max(0, ...names.map((text) => text.length));
  const count = Math.max(0, ...Object.values(rows).map((value) => `${value}`.length));
  return names.map((text) => `  ${text.padEnd(name)}  ${`${rows[text]}`.padStart(count)}`).join('\n');
}

/** The cause below drizzle's "failed query", which repeats the parameters. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof LedgerUnavailableError) return `The ledger does not answer: ${error.message}`;
  return error.cause instanceof Error ? messageOf(error.cause) : error.message;
}

/** `parseArgs` refuses unknown options. */
const isWrongCall = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && `${error.code}`.startsWith('ERR_PARSE_ARGS');
