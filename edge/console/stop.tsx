import type { Container } from '@warmwind/shared/contract/containers';
import { useAction } from './action.ts';
import { ConfirmButton } from './confirm.tsx';
import type { Store } from './store.ts';

type Props = { store: Store; desktop: Container; onFailure: (message: string) => void };

/**
 * Stops a desktop, after a confirmation that unsaved work is lost. A desktop that does not run yet is stopped
 * at once.
 */
export function StopButton({ store, desktop, onFailure }: Props) {
  const { id, name, state } = desktop;
  const [pending, act] = useAction(onFailure);
  const stop = () => void act(() => store.api.command('container.stop', { containerId: id }));
  const disabled = pending || state === 'stopping';
  if (state === 'running' || state === 'paused') {
    return (
      <ConfirmButton
        label="Stop"
        title={`Stop ${name}?`}
        warning="Unsaved work in this desktop is lost, and it can not be started again."
        keep="Keep it running"
        proceed="Stop the desktop"
        disabled={disabled}
        onConfirm={stop}
      />
    );
  }
  return (
    <button type="button" class="danger" onClick={stop} disabled={disabled}>
      Stop
    </button>
  );
}
