import { type Container, type ContainerState, type EndReason, hasEnded } from '@warmwind/shared/containers';
import type { Envelope } from '@warmwind/shared/events';
import { isTerminal, type Job, type JobKind, type JobState } from '@warmwind/shared/jobs';

/** Jobs and desktops that the lists show, at most; of older ones those that have not ended. */
export const SHOWN = 50;

/** A user's desktops and jobs, newest first. */
export type Inventory = {
  desktops: Map<string, Container>;
  jobs: Map<string, Job>;
  /** The latest message of a job's progress, by job. */
  messages: Map<string, string>;
  /** Desktops that only events have named so far: name, size and image are unknown. */
  incomplete: Set<string>;
};

export const emptyInventory = (): Inventory => ({
  desktops: new Map(),
  jobs: new Map(),
  messages: new Map(),
  incomplete: new Set(),
});

/** What a list has answered. An end that is known already is kept: a list may be older than an event. */
export function withDesktops(inventory: Inventory, listed: Container[]): Inventory {
  const next = copy(inventory);
  for (const desktop of listed) putDesktop(next, desktop);
  return trimmed(next);
}

/** As `withDesktops`; the later run of a job wins. */
export function withJobs(inventory: Inventory, listed: Job[]): Inventory {
  const next = copy(inventory);
  for (const job of listed) putJob(next, job);
  return trimmed(next);
}

/** The inventory after `events` of the user's room. Needs nothing else: a job is made from its first event. */
export function withEvents(inventory: Inventory, events: readonly Envelope[]): Inventory {
  const next = copy(inventory);
  for (const event of events) {
    const { type, data } = event;
    if (type === 'container.snapshot') putDesktop(next, data as unknown as Container);
    else if (type === 'job.snapshot') putJob(next, data as unknown as Job);
    else if (type.startsWith('container.')) desktopBecame(next, event);
    else jobBecame(next, event);
  }
  return trimmed(next);
}

function putDesktop({ desktops, incomplete }: Inventory, desktop: Container): void {
  const known = desktops.get(desktop.id);
  const end = known && hasEnded(known.state) && !hasEnded(desktop.state) ? ended(known) : {};
  desktops.set(desktop.id, { ...desktop, ...end });
  incomplete.delete(desktop.id);
}

const ended = ({ state, endedAt, endReason }: Container) => ({
  state,
  ...(endedAt ? { endedAt } : {}),
  ...(endReason ? { endReason } : {}),
});

function putJob({ jobs }: Inventory, job: Job): void {
  const known = jobs.get(job.id);
  if (known && known.run > job.run) return;
  if (known?.run === job.run && isTerminal(known.state) && !isTerminal(job.state)) return;
  jobs.set(job.id, job);
}

function desktopBecame(inventory: Inventory, { type, time, data }: Envelope): void {
  const id = String(data.containerId);
  const known = inventory.desktops.get(id);
  if (known && hasEnded(known.state)) return;
  const named = type.slice('container.'.length);
  const state = (named === 'started' || named === 'resumed' ? 'running' : named) as ContainerState;
  if (!known) inventory.incomplete.add(id);
  inventory.desktops.set(id, {
    ...(known ?? unnamed(inventory, id, type === 'container.requested' ? time : undefined)),
    state,
    ...(data.width && data.height ? { width: Number(data.width), height: Number(data.height) } : {}),
    ...(data.expiresAt ? { expiresAt: String(data.expiresAt) } : {}),
    ...(hasEnded(state) ? { endedAt: time } : {}),
    ...(data.reason ? { endReason: data.reason as EndReason } : {}),
  });
}

function unnamed({ desktops, jobs }: Inventory, id: string, requestedAt: string | undefined): Container {
  const job = [...jobs.values()].find(({ containerId }) => containerId === id);
  const createdAt = requestedAt ?? beforeAll(desktops);
  // As the edge names a desktop whose owner does not.
  const name = `desktop-${id.slice(0, 8)}`;
  return { id, name, state: 'requested', image: '', width: 0, height: 0, createdAt, jobId: job?.id ?? '' };
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

function jobBecame(inventory: Inventory, event: Envelope): void {
  const { type, run, time, data } = event;
  if (run === undefined) return;
  const id = String(data.jobId);
  const known = inventory.jobs.get(id) ?? unlisted(inventory, event);
  if (run < known.run) return;
  if (run === known.run && isTerminal(known.state)) return;
  const state = STATES[type] ?? known.state;
  const { error: _error, result: _result, finishedAt: _finishedAt, ...lasting } = known;
  inventory.jobs.set(id, {
    ...lasting,
    state,
    run,
    ...(run > known.run ? { progress: 0 } : {}),
    ...(type === 'job.progress' ? { progress: Number(data.percent) } : {}),
    ...(type === 'job.completed' ? { progress: 100, result: data.result } : {}),
    ...(isTerminal(state) ? { finishedAt: time } : {}),
    ...(data.error ? { error: data.error as NonNullable<Job['error']> } : {}),
  });
  if (type === 'job.progress' && data.message) inventory.messages.set(id, String(data.message));
}

/** A job that no list has shown: a new one begins with its first `job.queued`, any other is older than what is listed. */
function unlisted({ jobs }: Inventory, { type, run = 1, time, data }: Envelope): Job {
  return {
    id: String(data.jobId),
    kind: data.kind as JobKind,
    state: 'queued',
    progress: 0,
    run,
    attemptsMade: 0,
    createdAt: type === 'job.queued' && run === 1 ? time : beforeAll(jobs),
    ...(data.containerId ? { containerId: String(data.containerId) } : {}),
  };
}

/** A time before every item's creation. */
function beforeAll(items: Map<string, { createdAt: string }>): string {
  const times = [...items.values()].map(({ createdAt }) => Date.parse(createdAt));
  return new Date(Math.min(Date.now(), ...times) - 1).toISOString();
}

const copy = ({ desktops, jobs, messages, incomplete }: Inventory): Inventory => ({
  desktops: new Map(desktops),
  jobs: new Map(jobs),
  messages: new Map(messages),
  incomplete: new Set(incomplete),
});

function trimmed({ desktops, jobs, messages, incomplete }: Inventory): Inventory {
  const shown = newest(jobs, ({ state }) => !isTerminal(state));
  const shownDesktops = newest(desktops, ({ state }) => !hasEnded(state));
  return {
    desktops: shownDesktops,
    jobs: shown,
    messages: new Map([...messages].filter(([id]) => shown.has(id))),
    incomplete: new Set([...incomplete].filter((id) => shownDesktops.has(id))),
  };
}

const newest = <T extends { createdAt: string }>(all: Map<string, T>, isOpen: (one: T) => boolean) =>
  new Map(
    [...all]
      .sort(([, a], [, b]) => (a.createdAt < b.createdAt ? 1 : -1))
      .filter(([, one], index) => index < SHOWN || isOpen(one)),
  );
