import type { Container } from '@warmwind/shared/containers';
import type { Ticket } from '@warmwind/shared/realtime';
import type { Viewer as Watcher } from '@warmwind/shared/screen';
import { useEffect, useState } from 'preact/hooks';
import { ago, State } from './parts.tsx';
import { ScreenView } from './screen.tsx';
import { shareLink } from './share.tsx';
import type { Store } from './store.ts';

const LOOK_EVERY_MS = 10_000;

/** One desktop, large, with all that its owner can do with it. */
export function Watch(props: { store: Store; desktop: Container; onBack: () => void }) {
  const { store, desktop, onBack } = props;
  const { id, name, state, expiresAt } = desktop;
  const [said, setSaid] = useState('');
  const ask = (method: string, path: string) => () =>
    store.api.call(method, path).catch((error: Error) => setSaid(error.message));

  const share = (mode: 'view' | 'control') => async () => {
    try {
      const ticket = await store.api.call<Ticket>('POST', '/realtime/token', { containerId: id, mode });
      await navigator.clipboard.writeText(shareLink(id, ticket));
      setSaid(
        `A link to ${mode} is in your clipboard; it works until ${new Date(ticket.expiresAt).toLocaleTimeString()}.`,
      );
    } catch (error) {
      setSaid((error as Error).message);
    }
  };

  return (
    <section class="watch">
      <div class="line">
        <button type="button" onClick={onBack}>
          ← All desktops
        </button>
        <strong>{name}</strong>
        <State state={state} />
        {expiresAt && <small>ends {ago(expiresAt)}</small>}
        <span class="gap" />
        <button type="button" onClick={share('view')}>
          Share to view
        </button>
        <button type="button" onClick={share('control')}>
          Share to control
        </button>
        <button type="button" class="danger" onClick={ask('POST', `/containers/${id}/stop`)}>
          Stop
        </button>
      </div>
      {said && <p class="said">{said}</p>}
      <ScreenView relay={() => store.relay()} containerId={id} owner />
      <Watchers store={store} id={id} />
    </section>
  );
}

/** Who watches; each can be sent away. */
function Watchers({ store, id }: { store: Store; id: string }) {
  const [watchers, setWatchers] = useState<Watcher[]>([]);
  useEffect(() => {
    const look = () =>
      store.api
        .call<{ items: Watcher[] }>('GET', `/containers/${id}/viewers`)
        .then(({ items }) => setWatchers(items))
        .catch(() => undefined);
    void look();
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [store, id]);

  return (
    <ul class="watchers">
      {watchers.map((one) => (
        <li key={one.id}>
          {one.userId} <State state={one.control ? 'controls' : one.mode} /> <small>{ago(one.since)}</small>
          <button
            type="button"
            onClick={() =>
              store.api.call('DELETE', `/containers/${id}/viewers/${one.id}`).catch(() => undefined)
            }
          >
            Disconnect
          </button>
        </li>
      ))}
    </ul>
  );
}
