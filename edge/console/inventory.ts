import { type Container, hasEnded } from '@warmwind/shared/contract/containers';
import { isTerminal, type Job } from '@warmwind/shared/contract/jobs';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import {
  CONTAINER_STATE_AFTER,
  type ContainerEvent,
  type ExtendedEvent,
  isContainerEvent,
  isJobEvent,
  JOB_STATE_AFTER,
  type JobEvent,
} from '@warmwind/shared/contract/states';

/** The most jobs and desktops that the lists show; of older ones, those that have not ended are kept. */
export const SHOWN = 50;

/** A user's desktops and jobs, newest first. */
export type Inventory = {
  desktops: Map<string, Container>;
  jobs: Map<string, Job>;
  /** The latest message of a job's progress, by job. */
  messages: Map<string, string>;
  /** Desktops known only from events: their name, size and image are unknown. */
  incomplete: Set<string>;
};

export const emptyInventory = (): Inventory => ({
  desktops: new Map(),
  jobs: new Map(),
  messages: new Map(),
  incomplete: new Set(),
});

/**
 * Merges the answer of a list. An end that is known already is kept, because a list may be older than an
 * event.
 */
export function withDesktops(inventory: Inventory, listed: Container[]): Inventory {
  const next = copy(inventory);
  for (const desktop of listed) putDesktop(next, desktop);
  return trimmed(next);
}

/** As `withDesktops`, for jobs; the later run of a job wins. */
export function withJobs(inventory: Inventory, listed: Job[]): Inventory {
  const next = copy(inventory);
  for (const job of listed) putJob(next, job);
  return trimmed(next);
}

/** Applies `events` of the user's room. Events suffice: a job is created from its first event. */
export function withEvents(inventory: Inventory, events: readonly Envelope[]): Inventory {
  const next = copy(inventory);
  for (const event of events) {
    if (event.type === 'container.snapshot') putDesktop(next, event.data);
    else if (event.type === 'job.snapshot') putJob(next, event.data);
    else if (isJobEvent(event)) applyJobEvent(next, event);
    else if (isContainerEvent(event)) applyContainerEvent(next, event);
    else if (event.type === 'container.extended') applyExtension(next, event);
  }
  return trimmed(next);
}

function putDesktop({ desktops, incomplete }: Inventory, desktop: Container): void {
  const known = desktops.get(desktop.id);
  const end = known && hasEnded(known.state) && !hasEnded(desktop.state) ? ended(known) : {};
  desktops.set(desktop.id, { ...desktop, ...end });
  incomplete.delete(desktop.id);
}

const ended = ({ state, endedAt, endReason, exit }: Container) => ({
  state,
  ...(endedAt ? { endedAt } : {}),
  ...(endReason ? { endReason } : {}),
  ...(exit ? { exit } : {}),
});

function putJob({ jobs }: Inventory, job: Job): void {
  const known = jobs.get(job.id);
  if (known && known.run > job.run) return;
  if (known?.run === job.run && isTerminal(known.state) && !isTerminal(job.state)) return;
  jobs.set(job.id, job);
}

function applyContainerEvent(inventory: Inventory, event: ContainerEvent): void {
  const { type, time } = event;
  const id = event.data.containerId;
  const known = inventory.desktops.get(id);
  if (known && hasEnded(known.state)) return;
  const state = CONTAINER_STATE_AFTER[type];
  const before = known ?? unnamed(inventory, id, type === 'container.requested' ? time : undefined);
  const { pausedBy: _pausedBy, ...lasting } = before;
  if (!known) inventory.incomplete.add(id);
  inventory.desktops.set(id, {
    ...lasting,
    state,
    ...startOf(event),
    ...(hasEnded(state) ? { endedAt: time } : {}),
    ...(type === 'container.paused' ? { pausedBy: event.data.by } : {}),
    ...(type === 'container.failed' && event.data.exit ? { exit: event.data.exit } : {}),
    ...('reason' in event.data && event.data.reason ? { endReason: event.data.reason } : {}),
  });
}

function applyExtension({ desktops }: Inventory, { data }: ExtendedEvent): void {
  const known = desktops.get(data.containerId);
  if (known && !hasEnded(known.state)) desktops.set(known.id, { ...known, expiresAt: data.expiresAt });
}

/** The fields of a desktop that its start reveals. */
function startOf({ type, data }: ContainerEvent): Partial<Container> {
  if (type !== 'container.started') return {};
  const { width, height, expiresAt } = data;
  return { width, height, expiresAt };
}

function unnamed({ desktops, jobs }: Inventory, id: string, requestedAt: string | undefined): Container {
  const job = [...jobs.values()].find(({ containerId }) => containerId === id);
  const createdAt = requestedAt ?? beforeAll(desktops);
  // The name that the edge gives to a desktop without one.
  const name = `desktop-${id.slice(0, 8)}`;
  return {
    id,
    name,
    state: 'requested',
    image: '',
    width: 0,
    height: 0,
    incarnation: 0,
    createdAt,
    jobId: job?.id ?? '',
  };
}

function applyJobEvent(inventory: Inventory, event: JobEvent): void {
  const { type, run, time } = event;
  const id = event.data.jobId;
  const known = inventory.jobs.get(id) ?? unlisted(inventory, event);
  if (run < known.run) return;
  if (run === known.run && isTerminal(known.state)) return;
  const waiting = type === 'job.progress' ? event.data.waiting : undefined;
  // A start that waits for a host is in its queue.
  const state = waiting ? 'queued' : (JOB_STATE_AFTER[type] ?? known.state);
  const { error: _error, result: _result, finishedAt: _finishedAt, waiting: _waiting, ...lasting } = known;
  inventory.jobs.set(id, {
    ...lasting,
    state,
    run,
    ...(run > known.run ? { progress: 0 } : {}),
    ...(type === 'job.progress' ? { progress: event.data.percent } : {}),
    ...(waiting ? { waiting } : {}),
    ...(type === 'job.completed' ? { progress: 100, result: event.data.result } : {}),
    ...(isTerminal(state) ? { finishedAt: time } : {}),
    ...('error' in event.data && event.data.error ? { error: event.data.error } : {}),
  });
  if (type === 'job.progress' && event.data.message) inventory.messages.set(id, event.data.message);
}

/**
 * Creates a job that no list has shown. A new job begins with its first `job.queued`; any other is older than
 * the listed jobs.
 */
function unlisted({ jobs }: Inventory, { type, run, time, data }: JobEvent): Job {
  return {
    id: data.jobId,
    kind: data.kind,
    state: 'queued',
    progress: 0,
    run,
    attemptsMade: 0,
    createdAt: type === 'job.queued' && run === 1 ? time : beforeAll(jobs),
    ...(data.containerId ? { containerId: data.containerId } : {}),
  };
}

/** A time before the creation of every item. */
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
