import { copyText } from '@warmwind/shared/client/copy';
import type { ShareLink, Ticket } from '@warmwind/shared/realtime';
import { useEffect, useState } from 'preact/hooks';
import { ago } from './parts.tsx';
import { shareLink } from './share.tsx';
import type { Store } from './store.ts';

type Mode = 'view' | 'control';

/** The share links of one desktop that still work; `refresh` after one was made or revoked. */
export function useShareLinks(store: Store, id: string): [ShareLink[], () => Promise<void>] {
  const [links, setLinks] = useState<ShareLink[]>([]);
  const refresh = () =>
    store.api.call<{ items: ShareLink[] }>('GET', '/realtime/tokens').then(
      ({ items }) => setLinks(items.filter(({ containerId }) => containerId === id)),
      () => undefined,
    );
  useEffect(() => void refresh(), [store, id]);
  return [links, refresh];
}

type Props = { store: Store; id: string; onChange: () => void; onFailure: (message: string) => void };

/** Makes links by which others may watch one desktop, and shows the last one. */
export function ShareLinks({ store, id, onChange, onFailure }: Props) {
  const [link, setLink] = useState<Ticket & { mode: Mode; address: string; copied?: boolean }>();
  const failed = (error: Error) => onFailure(error.message);

  const share = (mode: Mode) => async () => {
    try {
      const ticket = await store.api.call<Ticket>('POST', '/realtime/token', { containerId: id, mode });
      setLink({ ...ticket, mode, address: shareLink(id, ticket) });
      onChange();
    } catch (error) {
      failed(error as Error);
    }
  };
  const revoke = () =>
    link &&
    store.api.call('DELETE', `/realtime/tokens/${link.id}`).then(() => {
      setLink(undefined);
      onChange();
    }, failed);

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
            <small role="status">
              {link.copied && 'copied, '}
              {link.copied === false && 'not copied: select it and copy it yourself, '}
              good until {new Date(link.expiresAt).toLocaleTimeString()}
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
              onClick={async () => setLink({ ...link, copied: await copyText(link.address) })}
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

type ListProps = Props & { links: ShareLink[] };

/** The links that still work, whether or not anyone remembers them. */
export function LinkList({ store, links, onChange, onFailure }: ListProps) {
  if (links.length === 0) return null;
  const revoke = (id: string) => () =>
    store.api
      .call('DELETE', `/realtime/tokens/${id}`)
      .then(onChange, (error: Error) => onFailure(error.message));
  return (
    <div class="watchers links">
      <h2>{links.length === 1 ? '1 share link' : `${links.length} share links`}</h2>
      <ul>
        {links.map(({ id, mode, createdAt, expiresAt }) => (
          <li key={id}>
            <span>link to {mode}</span>
            <small>made {ago(createdAt)}</small>
            <small>expires {ago(expiresAt)}</small>
            <span class="gap" />
            <button type="button" class="danger" onClick={revoke(id)}>
              Revoke
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
