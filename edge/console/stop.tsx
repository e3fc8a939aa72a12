import type { Container } from '@warmwind/shared/containers';
import { useId, useRef } from 'preact/hooks';
import { useAction } from './action.ts';
import type { Store } from './store.ts';

type Props = { store: Store; desktop: Container; onFailure: (message: string) => void };

/** Stops a desktop, once its user has confirmed that what is open there is lost. One that does not run yet has nothing to lose. */
export function StopButton({ store, desktop, onFailure }: Props) {
  const { id, name, state } = desktop;
  const dialog = useRef<HTMLDialogElement>(null);
  const title = useId();
  const [pending, act] = useAction(onFailure);
  const stop = () => {
    dialog.current?.close();
    void act(() => store.api.call('POST', `/containers/${id}/stop`));
  };
  const ask = () => dialog.current?.showModal();
  const asks = state === 'running' || state === 'paused';
  return (
    <>
      <button
        type="button"
        class="danger"
        onClick={asks ? ask : stop}
        disabled={pending || state === 'stopping'}
      >
        Stop
      </button>
      <dialog ref={dialog} class="panel" aria-labelledby={title}>
        <h2 id={title}>Stop {name}?</h2>
        <p>Unsaved work in this desktop is lost, and it can not be started again.</p>
        <div class="line">
          <button type="button" autofocus onClick={() => dialog.current?.close()}>
            Keep it running
          </button>
          <button type="button" class="primary danger" onClick={stop}>
            Stop the desktop
          </button>
        </div>
      </dialog>
    </>
  );
}
