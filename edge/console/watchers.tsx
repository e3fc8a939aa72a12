import type { ViewerControl } from '@warmwind/shared/client/viewer';
import { holdingViewer, type Viewer as Watcher } from '@warmwind/shared/contract/screen';
import { useEffect, useState } from 'preact/hooks';
import { useAction } from './action.ts';
import { ago, nameOf, State, useNotice } from './parts.tsx';
import type { Store } from './store.ts';

const READ_EVERY_MS = 5000;

type Props = { store: Store; id: string; control: ViewerControl | undefined; onRevoked: () => void };

/** The viewers of a desktop; the owner can disconnect each, and revoke the link of a guest. */
export function Watchers({ store, id, control, onRevoked }: Props) {
  const [watchers, setWatchers] = useState<Watcher[]>([]);
  const [notice, notify] = useNotice();
  // Reads from the relay: a request to the edge would count against the user's rate limits.
  const look = async () => {
    if (document.visibilityState !== 'visible') return;
    const listed = await store
      .relay()
      .then((relay) => relay.viewers(id))
      .catch(() => undefined);
    if (listed) setWatchers(listed.items);
  };
  useEffect(() => {
    if (!control?.viewerId) return;
    void look();
    const timer = setInterval(look, READ_EVERY_MS);
    return () => clearInterval(timer);
  }, [store, id, control?.viewerId, holdingViewer(control?.holder ?? null)]);
  const [pending, act] = useAction(notify);
  const disconnect = (viewerId: string) => () =>
    act(async () => {
      await store.api.edge.expelViewer(id, viewerId);
      void look();
    });
  const revoke = (ticketId: string) => () =>
    act(async () => {
      await store.api.edge.revokeTicket(ticketId);
      void look();
      onRevoked();
    });

  return (
    <div class="watchers">
      <h2>{watchers.length === 1 ? '1 viewer' : `${watchers.length} viewers`}</h2>
      {notice}
      <ul>
        {watchers.map((one) => (
          <li key={one.id}>
            <span>
              {nameOf(one)}
              {one.id === control?.viewerId && <small> (this page)</small>}
              {one.shared && <small> by a link to {one.mode}</small>}
            </span>
            <State state={one.control ? 'controls' : one.mode} />
            <small>joined {ago(one.since)}</small>
            <span class="gap" />
            {one.id !== control?.viewerId && (
              <button type="button" disabled={pending} onClick={disconnect(one.id)}>
                Disconnect
              </button>
            )}
            {one.shared && (
              <button type="button" disabled={pending} onClick={revoke(one.ticketId)}>
                Revoke the link
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
