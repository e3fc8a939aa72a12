import { signal } from '@preact/signals';
import { type Connection, connect, type State } from '@warmwind/shared/client/client';
import type { Container, ContainerState } from '@warmwind/shared/containers';
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
    const [desktops, jobs] = await Promise.all([
      this.api.call<{ items: Container[] }>('GET', `/containers?limit=${SHOWN}`),
      this.api.call<{ items: Job[] }>('GET', `/jobs?limit=${SHOWN}`),
    ]);
    this.desktops.value = new Map(desktops.items.map((one) => [one.id, one]));
    this.jobs.value = new Map(jobs.items.map((one) => [one.id, one]));
    const relay = await this.relay();
    relay.subscribe(`user:${this.userId}`, { onEvent: (event) => this.#heard(event) });
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
    else if (type.startsWith('container.')) this.#desktopBecame(String(data.containerId), type, data);
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

  #desktopBecame(id: string, type: string, data: Record<string, unknown>): void {
    const known = this.desktops.value.get(id);
    if (!known) {
      void this.#fetchDesktop(id);
      return;
    }
    const named = type.slice('container.'.length);
    const state = (named === 'started' || named === 'resumed' ? 'running' : named) as ContainerState;
    const ended = known.state === 'stopped' || known.state === 'failed' || known.state === 'lost';
    if (ended) return;
    this.#putDesktop({
      ...known,
      state,
      ...(data.expiresAt ? { expiresAt: String(data.expiresAt) } : {}),
    });
  }

  async #fetchDesktop(id: string): Promise<void> {
    const desktop = await this.api.call<Container>('GET', `/containers/${id}`).catch(() => undefined);
    if (desktop) this.#putDesktop(desktop);
  }

  async #fetchJob(id: string): Promise<void> {
    const job = await this.api.call<Job>('GET', `/jobs/${id}`).catch(() => undefined);
    if (job) this.#putJob(job);
  }

  #putDesktop(desktop: Container): void {
    this.desktops.value = newest(new Map(this.desktops.value).set(desktop.id, desktop));
  }

  #putJob(job: Job): void {
    this.jobs.value = newest(new Map(this.jobs.value).set(job.id, job));
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

/** The newest first, as many as are shown. */
const newest = <T extends { createdAt: string }>(all: Map<string, T>): Map<string, T> =>
  new Map([...all].sort(([, a], [, b]) => (a.createdAt < b.createdAt ? 1 : -1)).slice(0, SHOWN));
