import { copyText } from '@warmwind/shared/client/copy';
import type { ShareLink, Ticket } from '@warmwind/shared/contract/tickets';
import { useState } from 'preact/hooks';
import { useAction } from './action.ts';
import { ConfirmButton } from './confirm.tsx';
import { ago } from './parts.tsx';
import type { Refresher } from './refresher.ts';
import { NotLoaded } from './retrying.tsx';
import { shareLink } from './share.tsx';
import type { Store } from './store.ts';
import { useRefresher } from './use-refresher.ts';

type Mode = 'view' | 'control';

/** The valid share links of one desktop; request them again after one was created or revoked. */
export function useShareLinks(store: Store, id: string): [ShareLink[], Refresher] {
  const read = async () => {
    const { items } = await store.api.edge.listShareLinks();
    return items.filter(({ containerId }) => containerId === id);
  };
  const [links = [], refresher] = useRefresher(store.api, read);
  return [links, refresher];
}

type Props = { store: Store; id: string; onChange: () => void; onFailure: (message: string) => void };

/** Creates links by which others may watch one desktop, and shows the last one. */
export function ShareLinks({ store, id, onChange, onFailure }: Props) {
  const [link, setLink] = useState<Ticket & { mode: Mode; address: string; copied?: boolean }>();
  const [pending, act] = useAction(onFailure);

  const share = (mode: Mode) => () =>
    act(async () => {
      const ticket = await store.api.edge.createTicket({ containerId: id, mode });
      setLink({ ...ticket, mode, address: shareLink(id, ticket) });
      onChange();
    });
  const revoke = () =>
    act(async () => {
      if (!link) return;
      await store.api.edge.revokeTicket(link.id);
      setLink(undefined);
      onChange();
    });

  return (
    <>
      <button type="button" disabled={pending} onClick={share('view')}>
        Share to view
      </button>
      <button type="button" disabled={pending} onClick={share('control')}>
        Share to control
      </button>
      {link && (
        <div class="link panel">
          <div class="line">
            <strong>Link to {link.mode}</strong>
            <small role="status">
              {link.copied && 'copied, '}
              {link.copied === false && 'not copied: select and copy it yourself, '}
              valid until {new Date(link.expiresAt).toLocaleTimeString()}
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
            <button type="button" class="danger" disabled={pending} onClick={revoke}>
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

type ListProps = Props & { links: ShareLink[]; refresher: Refresher };

/** The valid links, including those whose text is lost. */
export function LinkList({ store, links, refresher, onChange, onFailure }: ListProps) {
  const [pending, act] = useAction(onFailure);
  const revoke = (id?: string) => () =>
    act(async () => {
      await (id === undefined ? store.api.edge.revokeAllTickets() : store.api.edge.revokeTicket(id));
      onChange();
    });
  if (refresher.failure.value) return <NotLoaded what="The share links" refresher={refresher} />;
  if (links.length === 0) return null;
  return (
    <div class="watchers links">
      <div class="line">
        <h2>{links.length === 1 ? '1 share link' : `${links.length} share links`}</h2>
        <span class="gap" />
        <ConfirmButton
          label="Revoke all links and sessions"
          title="Revoke all links and sessions?"
          warning="The share links of all your desktops stop working, and every client that is connected as you is disconnected. Clients with your access token reconnect."
          keep="Keep them"
          proceed="Revoke all"
          disabled={pending}
          onConfirm={revoke()}
        />
      </div>
      <ul>
        {links.map(({ id, mode, createdAt, expiresAt }) => (
          <li key={id}>
            <span>link to {mode}</span>
            <small>made {ago(createdAt)}</small>
            <small>expires {ago(expiresAt)}</small>
            <span class="gap" />
            <button type="button" class="danger" disabled={pending} onClick={revoke(id)}>
              Revoke
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
