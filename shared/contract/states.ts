import type { ContainerState } from './containers.ts';
import type { Envelope, Snapshot } from './events.ts';
import type { JobState } from './jobs.ts';

export type JobEvent = Exclude<Extract<Envelope, { type: `job.${string}` }>, Snapshot>;
/** An agent's action: it leaves the state of its container as it is. */
export type ActionEvent = Extract<Envelope, { type: 'container.action' }>;
/** The time to live of a container was set: its state stays as it is. */
export type ExtendedEvent = Extract<Envelope, { type: 'container.extended' }>;
/** A container entered another state. */
export type ContainerEvent = Exclude<
  Extract<Envelope, { type: `container.${string}` }>,
  Snapshot | ActionEvent | ExtendedEvent
>;

export const isJobEvent = (event: Exclude<Envelope, Snapshot>): event is JobEvent =>
  event.type.startsWith('job.');
export const isContainerEvent = (event: Envelope): event is ContainerEvent =>
  event.type.startsWith('container.') &&
  event.type !== 'container.snapshot' &&
  event.type !== 'container.action' &&
  event.type !== 'container.extended';

/** The state of a container after an event of it. */
export const CONTAINER_STATE_AFTER: Record<ContainerEvent['type'], ContainerState> = {
  'container.requested': 'requested',
  'container.starting': 'starting',
  'container.started': 'running',
  'container.paused': 'paused',
  'container.resumed': 'running',
  'container.stopping': 'stopping',
  'container.stopped': 'stopped',
  'container.failed': 'failed',
  'container.lost': 'lost',
};

/** The state of a job after an event of it; `undefined` where the event does not determine it. */
export const JOB_STATE_AFTER: Record<JobEvent['type'], JobState | undefined> = {
  'job.queued': 'queued',
  'job.active': 'active',
  'job.progress': 'active',
  'job.output': undefined,
  'job.retrying': 'delayed',
  'job.completed': 'completed',
  'job.failed': 'failed',
  'job.cancelled': 'cancelled',
  'job.timed_out': 'timed_out',
};
