import { type Container, hasEnded } from '@warmwind/shared/containers';
import { isTerminal } from '@warmwind/shared/jobs';
import { useState } from 'preact/hooks';
import { ago, Empty, Progress, State, useNotice } from './parts.tsx';
import { desktopAddress } from './place.ts';
import type { Store } from './store.ts';
import { Thumbnail } from './thumbnail.tsx';

const SIZES = ['1280×720', '1024×768', '1440×900', '1920×1080'] as const;
const HOURS = { '10 minutes': 600, '1 hour': 3600, '8 hours': 28_800 } as const;
/** Desktops that are shown with a picture. */
const THUMBNAILS = 4;
/** Desktops that have ended and are still shown. */
const ENDED_SHOWN = 6;

export function Desktops({ store }: { store: Store }) {
  const all = [...store.desktops.value.values()];
  const live = all.filter(({ state }) => !hasEnded(state));
  const ended = all.filter(({ state }) => hasEnded(state)).slice(0, ENDED_SHOWN);
  return (
    <section class="desktops">
      <StartForm store={store} />
      {all.length === 0 && <Empty>No desktop yet: start one, it takes about a second.</Empty>}
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

  const start = async (event: Event) => {
    event.preventDefault();
    const [width, height] = size.split('×').map(Number);
    setWrong('');
    try {
      await store.api.call('POST', '/containers/start', {
        width,
        height,
        ttlSeconds,
        ...(name ? { name } : {}),
      });
      setName('');
    } catch (error) {
      setWrong((error as Error).message);
    }
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
        aria-label="Lives for"
        value={ttlSeconds}
        onChange={(event) => setTtl(Number(event.currentTarget.value))}
      >
        {Object.entries(HOURS).map(([text, seconds]) => (
          <option key={text} value={seconds}>
            {text}
          </option>
        ))}
      </select>
      <button type="submit" class="primary">
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

function Card({ store, desktop, thumbnail }: { store: Store; desktop: Container; thumbnail: boolean }) {
  const { id, name, state, width, height, jobId } = desktop;
  const [notice, say] = useNotice(state);
  const job = store.jobs.value.get(jobId);
  const starts = state === 'requested' || state === 'starting';
  const stop = () =>
    store.api.call('POST', `/containers/${id}/stop`).catch((error: Error) => say(error.message));

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
        <Progress percent={job.progress} text={store.words.value.get(jobId) ?? 'waits for a place'} />
      )}
      {state === 'failed' && <p class="wrong">{job?.error?.message ?? 'The desktop ended by itself.'}</p>}
      <div class="line small">
        <span>
          {width}×{height}
        </span>
        <span>{age(desktop)}</span>
        {!hasEnded(state) && (
          <button type="button" onClick={stop} disabled={state === 'stopping'}>
            Stop
          </button>
        )}
      </div>
      {notice}
    </article>
  );
}

/** What of its life matters now. */
function age({ state, createdAt, expiresAt, endedAt }: Container): string {
  if (hasEnded(state)) return endedAt ? `${state} ${ago(endedAt)}` : state;
  return state === 'running' && expiresAt ? `ends ${ago(expiresAt)}` : `asked for ${ago(createdAt)}`;
}
