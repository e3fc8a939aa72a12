import { signal } from '@preact/signals';
import { type Connection, connect, type State } from '@warmwind/shared/client/client';
import { type Container, type ContainerState, hasEnded } from '@warmwind/shared/containers';
import type { Envelope } from '@warmwind/shared/events';
import { isTerminal, type Job, type JobState } from '@warmwind/shared/jobs';
import type { Ticket } from '@warmwind/shared/realtime';
import type { Api } from './api.ts';

/** Jobs and desktops that the lists show, at most. */
const SHOWN = 50;

/** What one user's console knows: loaded once, then kept up to date by the events of the user's own room. */
export class Store {
  readonly desktops = signal<Map<string, Container>>(new Map());
  readonly jobs = signal<Map<string, Job>>(new Map());
  /** The latest word of a job's progress, by job. */
  readonly words = signal<Map<string, string>>(new Map());
  readonly loaded = signal(false);
  readonly connection = signal<State>('connecting');
  readonly api: Api;
  readonly userId: string;
  #relay: Promise<Connection> | undefined;

  constructor(api: Api, userId: string) {
    this.api = api;
    this.userId = userId;
  }

  /** One connection for the whole console; it fetches a fresh ticket at every reconnect. */
  relay(): Promise<Connection> {
    this.#relay ??= this.#connect();
    return this.#relay;
  }

  async load(): Promise<void> {
    const list = <T>(path: string) => this.api.call<{ items: T[] }>('GET', path);
    const [latest, jobs] = await Promise.all([
      list<Container>(`/containers?limit=${SHOWN}`),
      list<Job>(`/jobs?limit=${SHOWN}`),
    ]);
    const full = latest.items.length === SHOWN;
    const older = full ? await list<Container>(`/containers?limit=${SHOWN}&state=running`) : { items: [] };
    this.desktops.value = new Map([...latest.items, ...older.items].map((one) => [one.id, one]));
    this.jobs.value = new Map(jobs.items.map((one) => [one.id, one]));
    this.loaded.value = true;
    const relay = await this.relay();
    relay.subscribe(`user:${this.userId}`, { onEvent: (event) => this.#heard(event) });
  }

  /** A desktop of one's own that the lists may have left out. Rejects when there is none. */
  findDesktop(id: string): Promise<Container> {
    return this.api.call<Container>('GET', `/containers/${id}`);
  }

  async close(): Promise<void> {
    (await this.#relay)?.close();
  }

  async #connect(): Promise<Connection> {
    const ticket = () => this.api.call<Ticket>('POST', '/realtime/token', { mode: 'control' });
    let first: Ticket | undefined = await ticket();
    return connect({
      url: first.url,
      token: async () => {
        const { token } = first ?? (await ticket());
        first = undefined;
        return token;
      },
      onState: (state) => {
        this.connection.value = state;
      },
    });
  }

  #heard(event: Envelope): void {
    const { type, data } = event;
    if (type === 'container.snapshot') this.#putDesktop(data as unknown as Container);
    else if (type === 'job.snapshot') this.#putJob(data as unknown as Job);
    else if (type.startsWith('container.')) this.#desktopBecame(event);
    else this.#jobBecame(event);
  }

  #jobBecame({ type, run, time, data }: Envelope): void {
    const id = String(data.jobId);
    const known = this.jobs.value.get(id);
    if (!known) {
      void this.#fetchJob(id);
      return;
    }
    // A log may tell what the list already knows better.
    if (run === undefined || run < known.run) return;
    if (run === known.run && isTerminal(known.state)) return;
    const state = STATES[type] ?? known.state;
    const { error: _error, result: _result, ...lasting } = known;
    this.#putJob({
      ...lasting,
      state,
      run,
      ...(run > known.run ? { progress: 0 } : {}),
      ...(type === 'job.progress' ? { progress: Number(data.percent) } : {}),
      ...(type === 'job.completed' ? { progress: 100, result: data.result } : {}),
      ...(isTerminal(state) ? { finishedAt: time } : {}),
      ...(data.error ? { error: data.error as NonNullable<Job['error']> } : {}),
    });
    if (type === 'job.progress' && data.message) {
      this.words.value = new Map(this.words.value).set(id, String(data.message));
    }
  }

  #desktopBecame({ type, time, data }: Envelope): void {
    const id = String(data.containerId);
    const known = this.desktops.value.get(id);
    if (!known) {
      void this.#fetchDesktop(id);
      return;
    }
    const named = type.slice('container.'.length);
    const state = (named === 'started' || named === 'resumed' ? 'running' : named) as ContainerState;
    if (hasEnded(known.state)) return;
    this.#putDesktop({
      ...known,
      state,
      ...(data.expiresAt ? { expiresAt: String(data.expiresAt) } : {}),
      ...(hasEnded(state) ? { endedAt: time } : {}),
    });
  }

  async #fetchDesktop(id: string): Promise<void> {
    const desktop = await this.findDesktop(id).catch(() => undefined);
    if (desktop) this.#putDesktop(desktop);
  }

  async #fetchJob(id: string): Promise<void> {
    const job = await this.api.call<Job>('GET', `/jobs/${id}`).catch(() => undefined);
    if (job) this.#putJob(job);
  }

  #putDesktop(desktop: Container): void {
    const all = new Map(this.desktops.value).set(desktop.id, desktop);
    this.desktops.value = newest(all, ({ state }) => !hasEnded(state));
  }

  #putJob(job: Job): void {
    const all = new Map(this.jobs.value).set(job.id, job);
    this.jobs.value = newest(all, ({ state }) => !isTerminal(state));
  }
}

const STATES: Partial<Record<string, JobState>> = {
  'job.queued': 'queued',
  'job.active': 'active',
  'job.progress': 'active',
  'job.retrying': 'delayed',
  'job.completed': 'completed',
  'job.failed': 'failed',
  'job.cancelled': 'cancelled',
  'job.timed_out': 'timed_out',
};

/** The newest first, as many as are shown; of older ones those that matter still. */
const newest = <T extends { createdAt: string }>(
  all: Map<string, T>,
  matters: (one: T) => boolean,
): Map<string, T> =>
  new Map(
    [...all]
      .sort(([, a], [, b]) => (a.createdAt < b.createdAt ? 1 : -1))
      .filter(([, one], index) => index < SHOWN || matters(one)),
  );
