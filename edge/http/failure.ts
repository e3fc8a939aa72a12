import { truncateText } from '@warmwind/shared/runtime/text';
/**
 * Why Redis or the ledger failed, for the log and for probes. What their clients add stays out of it: the whole command,
 * or the query with its values.
 */
export function failureOf(error: unknown): { error: string } {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return { error: typeof inner };
  const [message = ''] = inner.message.split(', command was: ');
  const code = 'code' in inner && typeof inner.code === 'string' ? ` ${inner.code}` : '';
  return { error: `${inner.name}${code}: ${truncateText(message, 200)}` };
}
