import type { Ticket } from '@warmwind/shared/realtime';
import { useState } from 'preact/hooks';
import { shareLink } from './share.tsx';
import type { Store } from './store.ts';

type Mode = 'view' | 'control';
type Props = { store: Store; id: string; onFailure: (message: string) => void };

/** Makes links by which others may watch one desktop, shows the last one, and takes it back. */
export function ShareLinks({ store, id, onFailure }: Props) {
  const [link, setLink] = useState<Ticket & { mode: Mode; address: string; copied: boolean }>();
  const failed = (error: Error) => onFailure(error.message);
  const copy = (address: string) =>
    navigator.clipboard?.writeText(address).then(
      () => true,
      () => false,
    ) ?? false;

  const share = (mode: Mode) => async () => {
    try {
      const ticket = await store.api.call<Ticket>('POST', '/realtime/token', { containerId: id, mode });
      const address = shareLink(id, ticket);
      setLink({ ...ticket, mode, address, copied: await copy(address) });
    } catch (error) {
      failed(error as Error);
    }
  };
  const revoke = () =>
    link && store.api.call('DELETE', `/realtime/tokens/${link.id}`).then(() => setLink(undefined), failed);

  return (
    <>
      <button type="button" onClick={share('view')}>
        Share to view
      </button>
      <button type="button" onClick={share('control')}>
        Share to control
      </button>
      {link && (
        <div class="link panel">
          <div class="line">
            <strong>Link to {link.mode}</strong>
            <small>
              {link.copied && 'copied, '}good until {new Date(link.expiresAt).toLocaleTimeString()}
            </small>
          </div>
          <input
            readOnly
            aria-label="Share link"
            value={link.address}
            onFocus={(event) => event.currentTarget.select()}
          />
          <div class="line">
            <button
              type="button"
              onClick={async () => setLink({ ...link, copied: await copy(link.address) })}
            >
              Copy
            </button>
            <button type="button" class="danger" onClick={revoke}>
              Revoke
            </button>
            <button type="button" onClick={() => setLink(undefined)}>
              Done
            </button>
          </div>
        </div>
      )}
    </>
  );
}
