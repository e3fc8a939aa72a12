import { Position, StoredEvent } from '@warmwind/shared/contract/events';
import type { Envelope, EventType } from '@warmwind/shared/contract/rooms';

/** The required data of some event types, without its subject. */
const REQUIRED: Partial<Record<EventType, object>> = {
  'job.active': { attempt: 1 },
  'job.progress': { percent: 0 },
  'job.output': { text: '', attempt: 1 },
  'job.completed': { result: null },
  'container.started': { width: 1280, height: 720, expiresAt: '2026-01-01T01:00:00.000Z' },
};

const withSubject = (type: EventType, data: object): object => ({
  ...(type.startsWith('job.') ? { jobId: 'j', kind: 'inference' } : { containerId: 'c' }),
  ...REQUIRED[type],
  ...data,
});

/**
 * Makes a recorded event.
 * @throws ZodError when the data does not match the type
 */
export const storedEvent = (type: EventType, data: object = {}, rest: object = {}): StoredEvent =>
  StoredEvent.parse({
    type,
    ...(type.startsWith('job.') ? { run: 1 } : {}),
    time: new Date().toISOString(),
    data: withSubject(type, data),
    ...rest,
  });

/** Makes an event as a client receives it. */
export const envelopeOf = (type: EventType, data: object = {}, rest: object = {}): Envelope => ({
  ...Position.parse({ id: '1-0', room: 'job:j', ...rest }),
  ...storedEvent(type, data, rest),
});

/** @returns the percentages of the progress events, in order */
export const percentsOf = (events: StoredEvent[]): number[] =>
  events.flatMap(({ type, data }) => (type === 'job.progress' ? [data.percent] : []));
