import type { Container } from '@warmwind/shared/containers';
import { useEffect, useState } from 'preact/hooks';
import { Desktops } from './desktops.tsx';
import { Inference } from './inference.tsx';
import { Jobs } from './jobs.tsx';
import { LimitBars } from './limits.tsx';
import { Brand, State } from './parts.tsx';
import { HOME, placedDesktop } from './place.ts';
import type { Store } from './store.ts';
import { Watch } from './watch.tsx';

/** All of one user's: desktops, jobs, models, limits; or one screen, large. The address says which. */
export function Home({ store, onLeave }: { store: Store; onLeave: () => void }) {
  const [wrong, setWrong] = useState('');
  useEffect(() => {
    store.load().catch((error: Error) => setWrong(error.message));
  }, [store]);

  const id = placedDesktop();
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
      {wrong && (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
      {id ? (
        <Place key={id} store={store} id={id} />
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

/** The page of one desktop, be it in the lists or not. */
function Place({ store, id }: { store: Store; id: string }) {
  const [found, setFound] = useState<Container>();
  const [wrong, setWrong] = useState('');
  const loaded = store.loaded.value;
  const listed = store.desktops.value.get(id);
  useEffect(() => {
    if (listed || !loaded) return;
    store.findDesktop(id).then(setFound, (error: Error) => setWrong(error.message));
  }, [store, id, loaded]);

  const desktop = listed ?? found;
  if (desktop) return <Watch store={store} desktop={desktop} />;
  return (
    <section class="watch">
      <p class={wrong ? 'wrong' : 'empty'}>{wrong || 'Looking for this desktop…'}</p>
      <a href={HOME}>← All desktops</a>
    </section>
  );
}
