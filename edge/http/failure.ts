import { truncateText } from '@warmwind/shared/runtime/text';
/**
 * Describes why Redis or the ledger failed, for the log and for probes. It leaves out what their clients add:
 * the complete command, or the query with its values.
 */
export function failureOf(error: unknown): { error: string } {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return { error: typeof inner };
  const [message = ''] = inner.message.split(', command was: ');
  const code = 'code' in inner && typeof inner.code === 'string' ? ` ${inner.code}` : '';
  return { error: `${inner.name}${code}: ${truncateText(message, 200)}` };
}
