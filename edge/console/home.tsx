import { useEffect } from 'preact/hooks';
import { Desktops } from './desktops.tsx';
import { Inference } from './inference.tsx';
import { Jobs } from './jobs.tsx';
import { LimitBars } from './limits.tsx';
import { Brand, State } from './parts.tsx';
import { desktopInAddress, HOME } from './place.ts';
import type { Refresher } from './refresher.ts';
import { NotLoaded, Unreachable } from './retrying.tsx';
import type { Store } from './store.ts';
import { useRefresher } from './use-refresher.ts';
import { Watch } from './watch.tsx';

/**
 * The home page of a user: desktops, jobs, models and limits, or one desktop's page. The address selects
 * which.
 */
export function Home({ store, onLeave }: { store: Store; onLeave: () => void }) {
  useEffect(() => store.load(), [store]);

  const id = desktopInAddress();
  const connection = store.connection.value;
  return (
    <>
      <header>
        <a href={HOME} class="home-link" aria-label="Warmwind, home">
          <Brand />
        </a>
        <nav>
          <a href="/docs">API</a>
        </nav>
        <span class="who">
          {store.userId} <State state={connection} />
        </span>
        {connection === 'closed' && (
          <button type="button" onClick={() => location.reload()}>
            Reconnect
          </button>
        )}
        <button type="button" onClick={onLeave}>
          Log out
        </button>
      </header>
      {!store.api.reachable.value && <Unreachable />}
      {store.refused.value && (
        <p class="wrong" role="alert">
          {store.refused.value}
        </p>
      )}
      {id ? (
        <DesktopPage key={id} store={store} id={id} />
      ) : (
        <div class="home">
          <Desktops store={store} />
          <aside>
            <Inference store={store} />
            <LimitBars store={store} />
          </aside>
          <Jobs store={store} />
        </div>
      )}
    </>
  );
}

/** The page of one desktop, also if it is not in the lists. */
function DesktopPage({ store, id }: { store: Store; id: string }) {
  const known = store.desktopList.loaded.value || store.desktops.value.has(id);
  return known ? <Found store={store} id={id} /> : <NotFound refresher={store.desktopList} />;
}

function Found({ store, id }: { store: Store; id: string }) {
  const listed = store.desktops.value.get(id);
  const find = async () => listed ?? (await store.findDesktop(id));
  const [found, refresher] = useRefresher(store.api, find);
  const desktop = listed ?? found;
  return desktop ? <Watch store={store} desktop={desktop} /> : <NotFound refresher={refresher} />;
}

const NotFound = ({ refresher }: { refresher: Refresher }) => (
  <section class="watch">
    <NotLoaded what="This desktop" refresher={refresher} />
    <a href={HOME}>← All desktops</a>
  </section>
);
