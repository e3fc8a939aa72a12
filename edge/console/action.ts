import type { RequestError } from '@warmwind/shared/client/http-errors';
import { useRef, useState } from 'preact/hooks';

/** How long after it has succeeded a further click belongs to the same intent, ms: as long as a double click may take. */
const REST_MS = 1000;

/**
 * What one button or form does, once at a time: it is pending while its request is in flight and for a moment after that,
 * and what is clicked meanwhile does nothing.
 *
 * @param notify shows why it failed, for as long as that is so
 */
export function useAction(
  notify: (message: string) => void,
): [pending: boolean, act: (run: () => Promise<unknown>) => Promise<void>] {
  const [pending, setPending] = useState(false);
  const busy = useRef(false);
  const refusal = useRef<ReturnType<typeof setTimeout>>(undefined);
  const end = () => {
    busy.current = false;
    setPending(false);
  };
  const act = async (run: () => Promise<unknown>) => {
    if (busy.current) return;
    busy.current = true;
    setPending(true);
    clearTimeout(refusal.current);
    try {
      await run();
      setTimeout(end, REST_MS);
    } catch (error) {
      end();
      const { message, retryAfterMs } = error as RequestError;
      notify(message);
      if (retryAfterMs !== undefined) refusal.current = setTimeout(() => notify(''), retryAfterMs);
    }
  };
  return [pending, act];
}
