import { type Container, hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { useEffect, useState } from 'preact/hooks';
import { useAction } from './action.ts';
import { Exit } from './exit.tsx';
import { PauseButton } from './life.tsx';
import { ago, Empty, endOf, JobProgress, LabelList, State, useNotice } from './parts.tsx';
import { desktopAddress } from './place.ts';
import { NotLoaded } from './retrying.tsx';
import { StopButton } from './stop.tsx';
import type { Store } from './store.ts';
import { Thumbnail } from './thumbnail.tsx';

const SIZES = ['1280×720', '1024×768', '1440×900', '1920×1080'] as const;
const HOURS = { '10 minutes': 600, '1 hour': 3600, '8 hours': 28_800 } as const;
/** The most desktops that are shown with a picture. */
const THUMBNAILS = 4;
/** The most ended desktops that are shown. */
const ENDED_SHOWN = 6;

export function Desktops({ store }: { store: Store }) {
  const all = [...store.desktops.value.values()];
  const live = all.filter(({ state }) => !hasEnded(state));
  const ended = all.filter(({ state }) => hasEnded(state)).slice(0, ENDED_SHOWN);
  return (
    <section class="desktops">
      <StartForm store={store} />
      <NotLoaded what="Your desktops" refresher={store.desktopList} />
      {all.length === 0 && store.desktopList.loaded.value && (
        <Empty>No desktop yet: start one, it takes about a second.</Empty>
      )}
      <div class="cards">
        {[...live, ...ended].map((desktop, i) => (
          <Card key={desktop.id} store={store} desktop={desktop} thumbnail={i < THUMBNAILS} />
        ))}
      </div>
    </section>
  );
}

function StartForm({ store }: { store: Store }) {
  const [name, setName] = useState('');
  const [size, setSize] = useState<string>(SIZES[0]);
  const [ttlSeconds, setTtl] = useState<number>(3600);
  const [wrong, setWrong] = useState('');

  const [pending, act] = useAction(setWrong);
  const reachable = store.api.reachable.value;
  useEffect(() => {
    if (reachable) setWrong('');
  }, [reachable]);

  const start = (event: Event) => {
    event.preventDefault();
    const [width = 0, height = 0] = size.split('×').map(Number);
    const body = { width, height, ttlSeconds, ...(name ? { name } : {}) };
    void act(async () => {
      setWrong('');
      const started = await store.api.command('container.start', body);
      store.add(requested(started, { name, width, height }));
      setName('');
    });
  };

  return (
    <form class="start" onSubmit={start}>
      <h2>Desktops</h2>
      <input
        aria-label="Name"
        placeholder="Name (optional)"
        maxLength={63}
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <select aria-label="Size" value={size} onChange={(event) => setSize(event.currentTarget.value)}>
        {SIZES.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
      <select
        aria-label="Time to live"
        value={ttlSeconds}
        onChange={(event) => setTtl(Number(event.currentTarget.value))}
      >
        {Object.entries(HOURS).map(([text, seconds]) => (
          <option key={text} value={seconds}>
            {text}
          </option>
        ))}
      </select>
      <button type="submit" class="primary" disabled={pending}>
        Start a desktop
      </button>
      {wrong && (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
    </form>
  );
}

type Started = { jobId: string; containerId: string };

/** Builds a desktop as it is after its start was accepted. */
const requested = (
  { jobId, containerId }: Started,
  { name, ...size }: { name: string; width: number; height: number },
): Container => ({
  ...size,
  id: containerId,
  name: name || `desktop-${containerId.slice(0, 8)}`,
  state: 'requested',
  image: '',
  incarnation: 0,
  createdAt: new Date().toISOString(),
  jobId,
});

function Card({ store, desktop, thumbnail }: { store: Store; desktop: Container; thumbnail: boolean }) {
  const { id, name, state, width, height, jobId, labels, exit } = desktop;
  const [notice, notify] = useNotice(state);
  const job = store.jobs.value.get(jobId);
  const starts = state === 'requested' || state === 'starting';

  return (
    <article class={`card ${hasEnded(state) ? 'over' : ''}`} data-desktop={id}>
      {hasEnded(state) ? (
        <div class="screen">{state}</div>
      ) : (
        <a class="screen" href={desktopAddress(id)} aria-label={`Watch ${name}`}>
          {state === 'running' && thumbnail && <Thumbnail store={store} id={id} />}
          <span>{state === 'running' ? '▶ Watch' : state}</span>
        </a>
      )}
      <div class="line">
        <strong title={id}>{name}</strong>
        <State state={state} />
      </div>
      {starts && job && !isTerminal(job.state) && (
        <JobProgress job={job} message={store.messages.value.get(jobId) ?? 'waiting for a host'} />
      )}
      {state === 'failed' && <p class="wrong">{job?.error?.message ?? 'The desktop ended unexpectedly.'}</p>}
      {exit && <Exit exit={exit} />}
      <div class="line small">
        <span>{width > 0 && `${width}×${height}`}</span>
        <span>{age(desktop)}</span>
        <PauseButton store={store} desktop={desktop} onFailure={notify} />
        {!hasEnded(state) && <StopButton store={store} desktop={desktop} onFailure={notify} />}
      </div>
      <LabelList labels={labels} />
      {notice}
    </article>
  );
}

/** Describes the time that matters in the desktop's state: its end, its expiry or its request. */
function age(desktop: Container): string {
  const { state, createdAt, expiresAt, endedAt } = desktop;
  if (hasEnded(state)) return `${endOf(desktop)} ${ago(endedAt)}`;
  return state === 'running' && expiresAt ? `ends ${ago(expiresAt)}` : `requested ${ago(createdAt)}`;
}
