import type { RequestError } from '@warmwind/shared/client/http-errors';
import { useRef, useState } from 'preact/hooks';

/**
 * How long after a success a further click belongs to the same intent, ms: as long as a double click may
 * take.
 */
const REST_MS = 1000;

/**
 * Runs the action of a button or form, once at a time. It is pending while its request is in flight and for
 * `REST_MS` after that; clicks meanwhile are ignored.
 * @param notify shows why the action failed, '' once that is over
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
