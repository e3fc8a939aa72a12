import { useRef, useState } from 'preact/hooks';

/** How long after it has succeeded a further click belongs to the same intent, ms: as long as a double click may take. */
const REST_MS = 1000;

/**
 * What one button or form does, once at a time: it is pending while its request is in flight and for a moment after that,
 * and what is clicked meanwhile does nothing.
 *
 * @param say shows why it failed
 */
export function useAction(
  say: (message: string) => void,
): [pending: boolean, act: (run: () => Promise<unknown>) => Promise<void>] {
  const [pending, setPending] = useState(false);
  const busy = useRef(false);
  const end = () => {
    busy.current = false;
    setPending(false);
  };
  const act = async (run: () => Promise<unknown>) => {
    if (busy.current) return;
    busy.current = true;
    setPending(true);
    try {
      await run();
      setTimeout(end, REST_MS);
    } catch (error) {
      end();
      say((error as Error).message);
    }
  };
  return [pending, act];
}
