import type { Container } from '@warmwind/shared/contract/containers';
import { useAction } from './action.ts';
import type { Store } from './store.ts';

type Props = { store: Store; desktop: Container; onFailure: (message: string) => void };

/** The time to live that a click sets, counted from then on, seconds. */
const HOUR = 3600;

/** Pauses a desktop that runs, or resumes one that is paused. */
export function PauseButton({ store, desktop, onFailure }: Props) {
  const { id, state } = desktop;
  const [pending, act] = useAction(onFailure);
  if (state !== 'running' && state !== 'paused') return null;
  const kind = state === 'running' ? 'container.pause' : 'container.resume';
  return (
    <button
      type="button"
      disabled={pending}
      onClick={() => void act(() => store.api.command(kind, { containerId: id }))}
    >
      {state === 'running' ? 'Pause' : 'Resume'}
    </button>
  );
}

/** Lets a desktop live for another hour from now. */
export function ExtendButton({ store, desktop, onFailure }: Props) {
  const { id, state } = desktop;
  const [pending, act] = useAction(onFailure);
  if (state !== 'running' && state !== 'paused') return null;
  const extend = () => store.api.edge.extendContainer({ containerId: id, ttlSeconds: HOUR });
  return (
    <button
      type="button"
      title="It ends an hour from now"
      disabled={pending}
      onClick={() => void act(extend)}
    >
      Extend
    </button>
  );
}
