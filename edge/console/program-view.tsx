import { isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { useEffect, useState } from 'preact/hooks';
import { NO_OUTPUT, withOutput } from './program-output.ts';
import type { Store } from './store.ts';

/** The output of the program that a job runs, live. */
export function ProgramView({ store, jobId }: { store: Store; jobId: string }) {
  const [output, setOutput] = useState(NO_OUTPUT);
  const [failure, setFailure] = useState('');
  useEffect(() => {
    let stop = () => {};
    let isGone = false;
    const follow = async () => {
      const relay = await store.relay();
      if (isGone) return;
      const following = relay.subscribe(`job:${jobId}`, {
        onEvent: (event) => {
          setOutput((now) => withOutput(now, event));
          if (isTerminalEvent(event.type)) stop();
        },
      });
      stop = () => following.unsubscribe();
    };
    follow().catch((error: Error) => setFailure(error.message));
    return () => {
      isGone = true;
      stop();
    };
  }, [jobId]);
  const { text, isIncomplete, end } = output;
  return (
    <div class="program">
      {isIncomplete && <small>The beginning is not shown.</small>}
      <pre>{text}</pre>
      {end && <small>{end}</small>}
      {failure && <p class="wrong">{failure}</p>}
    </div>
  );
}
