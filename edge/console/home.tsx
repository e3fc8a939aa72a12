import { useEffect, useState } from 'preact/hooks';
import { Desktops } from './desktops.tsx';
import { Inference } from './inference.tsx';
import { Jobs } from './jobs.tsx';
import { LimitBars } from './limits.tsx';
import { Brand, State } from './parts.tsx';
import type { Store } from './store.ts';
import { Watch } from './watch.tsx';

/** All of one user's: desktops, jobs, models, limits; or one screen, large. */
export function Home({ store, onLeave }: { store: Store; onLeave: () => void }) {
  const [watching, setWatching] = useState<string>();
  const [wrong, setWrong] = useState('');

  useEffect(() => {
    store.load().catch((error: Error) => setWrong(error.message));
  }, [store]);

  const desktop = watching ? store.desktops.value.get(watching) : undefined;
  return (
    <>
      <header>
        <Brand />
        <nav>
          <a href="/docs">API</a>
        </nav>
        <span class="who">
          {store.userId} <State state={store.connection.value} />
        </span>
        <button type="button" onClick={onLeave}>
          Log out
        </button>
      </header>
      {wrong && (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
      {desktop ? (
        <Watch store={store} desktop={desktop} onBack={() => setWatching(undefined)} />
      ) : (
        <div class="home">
          <Desktops store={store} onWatch={setWatching} />
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
