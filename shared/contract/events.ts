import { z } from 'zod';
import { Container, ContainerExit, EndReason, PausedBy } from './containers.ts';
import { Job, JobError, Waiting } from './jobs.ts';
import { JOB_KINDS } from './registry.ts';

/** The job that an event is about. It is part of the data, as the owner's room has events of all jobs. */
export const JobSubject = z.object({
  jobId: z.string(),
  kind: z.enum(JOB_KINDS),
  containerId: z.string().optional().describe('The container that the job is about; empty for none.'),
});
const ContainerSubject = z.object({ containerId: z.string() });

const time = z.iso.datetime().describe('When it happened, in UTC.');
const run = z.number().int().min(1).describe('The run of the job, counted from 1; a retry is a new one.');

const jobEvent = <const Type extends `job.${string}`, Data extends z.ZodRawShape>(type: Type, data: Data) =>
  z.object({ type: z.literal(type), run, time, data: JobSubject.extend(data) });
const containerEvent = <const Type extends `container.${string}`, Data extends z.ZodRawShape>(
  type: Type,
  data: Data,
) => z.object({ type: z.literal(type), time, data: ContainerSubject.extend(data) });

const failure = { error: JobError.optional() };
const reason = {
  reason: EndReason.optional().describe('Why it is stopped or lost, where no request asked for that.'),
};
/** Pixels. */
const size = { width: z.number().int(), height: z.number().int() };

const attempt = z.number().int().describe('The attempt that published it, counted from 1.');
const part = {
  stream: z.enum(['stdout', 'stderr']),
  offset: z.number().int().min(0).describe('How many bytes of the stream precede it.'),
  attempt,
};
/** A piece of a program's output, as text when it is UTF-8. */
const ProgramOutput = z.union([
  JobSubject.extend({ ...part, text: z.string() }),
  JobSubject.extend({ ...part, base64: z.base64() }),
]);
/** A piece of the output of a job. */
const JobOutput = z.union([...ProgramOutput.options, JobSubject.extend({ text: z.string(), attempt })]);

/**
 * Every event that a room's log records, by its type, with its data. The result of a job is described by its
 * kind.
 */
export const StoredEvent = z.discriminatedUnion('type', [
  jobEvent('job.queued', {}).describe('A run waits in its queue.'),
  jobEvent('job.active', { attempt: z.number().int().min(1) }).describe(
    'A worker took the run. Text that an earlier attempt generated is void: it starts again. The output of a program continues.',
  ),
  jobEvent('job.progress', {
    percent: z.number(),
    message: z.string().optional(),
    waiting: Waiting.optional(),
  }).describe('The run advanced, or waits: `message` has the reason, and `waiting` that of a start.'),
  z
    .object({ type: z.literal('job.output'), run, time, data: JobOutput })
    .describe(
      'The next piece of a generated answer; all since the last `job.active`, joined, are the answer. Of a program: the bytes of a stream from `offset` on, each once, as `text` or `base64`.',
    ),
  jobEvent('job.retrying', { error: JobError, attemptsMade: z.number().int(), delayMs: z.number() }).describe(
    'An attempt failed; the next one follows after `delayMs`.',
  ),
  jobEvent('job.completed', { result: z.unknown() }).describe('The run succeeded.'),
  jobEvent('job.failed', failure).describe('The run failed for good.'),
  jobEvent('job.cancelled', failure).describe('The run was cancelled.'),
  jobEvent('job.timed_out', failure).describe('The last attempt of the run took too long.'),
  z
    .object({ type: z.literal('job.snapshot'), run, time, data: Job.extend({ jobId: z.string() }) })
    .describe('The present state of a job, sent in place of events that are gone.'),
  containerEvent('container.requested', {}).describe('A start was accepted.'),
  containerEvent('container.starting', {}).describe('A host took the container and creates it.'),
  containerEvent('container.started', {
    ...size,
    expiresAt: z.iso.datetime(),
    warm: z.boolean().optional().describe('True when it was taken from the warm pool.'),
  }).describe('The container runs and its screen answers.'),
  containerEvent('container.action', {
    by: z
      .object({ type: z.literal('agent'), credential: z.string().max(160) })
      .describe('Who acted: the id of what authenticated the call, no secret.'),
    type: z.string().max(64).describe('The action, as its vocabulary names it.'),
    x: z.number().int().optional().describe('Where the pointer was moved, pixels.'),
    y: z.number().int().optional().describe('Where the pointer was moved, pixels.'),
    chars: z.number().int().optional().describe('How many characters were typed.'),
    error: z.string().optional().describe('The code of the error, when it failed.'),
  }).describe('An agent acted on the screen. Not in the room of its owner.'),
  containerEvent('container.extended', { expiresAt: z.iso.datetime() }).describe(
    'A request has set when the time to live ends.',
  ),
  containerEvent('container.paused', { by: PausedBy }).describe(
    'All programs of the container are frozen, by a request or because it was idle.',
  ),
  containerEvent('container.resumed', {}).describe('All programs of the container continue.'),
  containerEvent('container.stopping', reason).describe(
    'A stop was requested, or the time to live or idle time ended.',
  ),
  containerEvent('container.stopped', reason).describe('Nothing of the container runs.'),
  containerEvent('container.failed', {
    ...failure,
    exit: ContainerExit.optional().describe('How its programs ended. Not sent to a guest of its screen.'),
  }).describe('The container did not start, or ended unexpectedly.'),
  containerEvent('container.lost', reason).describe(
    'The host of the container is lost, or its engine was restarted.',
  ),
  z
    .object({
      type: z.literal('container.snapshot'),
      time,
      data: Container.extend({ containerId: z.string() }),
    })
    .describe(
      'The present state of a container, sent in place of events that are gone: to a guest of its screen without `host`, `labels`, `warm` and `exit`.',
    ),
]);
/** Events of containers have no `run`. */
export type StoredEvent = z.infer<typeof StoredEvent> & { run?: number };
export type EventType = StoredEvent['type'];
export type ProgramOutput = z.infer<typeof ProgramOutput>;

/**
 * The fields that a room adds to an event. `id` is opaque: a client sends the last one it received as
 * `after`.
 */
export const Position = z.object({ id: z.string(), room: z.string() });
/** An event as a client receives it. */
export type Envelope = StoredEvent & z.infer<typeof Position>;
/** The present state of a job or container, sent to a client that has missed events. */
export type Snapshot = Extract<Envelope, { type: `${string}.snapshot` }>;

/** An event of this version or a later one; its type and data are passed on unchanged. */
const AnyEvent = z.object({
  type: z.string(),
  run: z.number().optional(),
  time: z.string(),
  data: z.unknown(),
});
export type AnyEvent = z.infer<typeof AnyEvent>;

/**
 * Reads an event of this version or a later one, with all of its fields.
 * @throws SyntaxError when `text` is no JSON
 * @throws ZodError when it is no event
 */
export function parseEvent(text: string): AnyEvent {
  const event: unknown = JSON.parse(text);
  assertEvent(event);
  return event;
}

function assertEvent(value: unknown): asserts value is AnyEvent {
  AnyEvent.parse(value);
}

const AnyEnvelope = AnyEvent.extend(Position.shape);
export type AnyEnvelope = z.infer<typeof AnyEnvelope>;

/** Is it an event of a room, of this version or a later one? */
export const isAnyEnvelope = (value: unknown): value is AnyEnvelope => AnyEnvelope.safeParse(value).success;

/**
 * Is it an event that this version knows, with the data of its type? Fields that a later version adds are
 * permitted.
 */
export const isEnvelope = (value: unknown): value is Envelope =>
  Position.safeParse(value).success && StoredEvent.safeParse(value).success;
