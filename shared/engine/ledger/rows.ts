import { z } from 'zod';
import {
  type Container,
  ContainerExit,
  type ContainerState,
  containerFromRecord,
  EndReason,
  hasEnded,
  PausedBy,
} from '../../contract/containers.ts';
import {
  isTerminal,
  type Job,
  JobError,
  type JobKind,
  type JobState,
  jobFromRecord,
} from '../../contract/jobs.ts';
import { Labels } from '../../contract/labels.ts';
import { parseJson } from '../../runtime/json.ts';
import type { containers, jobs } from './schema.ts';

export type JobRow = typeof jobs.$inferSelect;
export type ContainerRow = typeof containers.$inferSelect;

/** A Redis hash, as it is read or written: names and texts. */
export const Fields = z.record(z.string(), z.string());
export type Fields = z.infer<typeof Fields>;

/** Converts a job's Redis record to its row. */
export function jobRow(userId: string, record: Fields): JobRow {
  const state = record.state as JobState;
  return {
    id: record.id ?? '',
    userId,
    kind: record.kind as JobKind,
    state,
    run: Number(record.run ?? 1),
    fence: Number(record.fence ?? 0),
    attemptsMade: Number(record.attemptsMade ?? 0),
    queue: record.queue ?? '',
    priority: Number(record.priority ?? 0),
    priorityClass: Number(record.priorityClass ?? 5),
    timeoutMs: Number(record.timeoutMs ?? 0),
    webhookUrl: record.webhookUrl ?? '',
    containerId: record.containerId ?? '',
    containerIds: json(z.array(z.string()), record.containerIds),
    requestId: record.requestId ?? '',
    labels: json(Labels, record.labels),
    result: json(z.unknown(), record.result),
    error: json(JobError, record.error),
    createdAt: dateOf(record.createdAt) ?? new Date(0),
    startedAt: dateOf(record.startedAt),
    finishedAt: isTerminal(state) ? (dateOf(record.finishedAt) ?? new Date(0)) : null,
  };
}

/** Converts a row to the Redis record that it was made of; the progress of an open run is lost. */
export const jobRecord = (row: JobRow): Fields => ({
  id: row.id,
  kind: row.kind,
  state: row.state,
  progress: row.state === 'completed' ? '100' : '0',
  run: `${row.run}`,
  attemptsMade: `${row.attemptsMade}`,
  fence: `${row.fence}`,
  createdAt: ms(row.createdAt),
  containerId: row.containerId,
  queue: row.queue,
  priority: `${row.priority}`,
  priorityClass: `${row.priorityClass}`,
  timeoutMs: `${row.timeoutMs}`,
  webhookUrl: row.webhookUrl,
  requestId: row.requestId,
  ...(row.labels === null ? {} : { labels: JSON.stringify(row.labels) }),
  ...(row.containerIds === null ? {} : { containerIds: JSON.stringify(row.containerIds) }),
  ...(row.result === null ? {} : { result: JSON.stringify(row.result) }),
  ...(row.error === null ? {} : { error: JSON.stringify(row.error) }),
  ...(row.startedAt ? { startedAt: ms(row.startedAt) } : {}),
  ...(row.finishedAt ? { finishedAt: ms(row.finishedAt) } : {}),
});

/**
 * Converts a desktop's Redis record to its row. Without `spec`, which changes leave out, the row has '{}'.
 */
export function containerRow(userId: string, record: Fields): ContainerRow {
  const state = record.state as ContainerState;
  return {
    id: record.id ?? '',
    userId,
    name: record.name ?? '',
    state,
    image: record.image ?? '',
    width: Number(record.width ?? 0),
    height: Number(record.height ?? 0),
    spec: json(z.unknown(), record.spec) ?? {},
    jobId: record.jobId ?? '',
    host: record.host ?? '',
    boot: record.boot ?? '',
    fence: Number(record.fence ?? 0),
    instanceId: record.instanceId ?? '',
    error: json(JobError, record.error),
    createdAt: dateOf(record.createdAt) ?? new Date(0),
    startedAt: dateOf(record.startedAt),
    expiresAt: dateOf(record.expiresAt),
    endedAt: hasEnded(state) ? (dateOf(record.endedAt) ?? new Date(0)) : null,
    endReason: EndReason.safeParse(record.endReason).data ?? null,
    labels: json(Labels, record.labels),
    warm: record.warm === '1',
    usedAt: dateOf(record.usedAt),
    pausedBy: PausedBy.safeParse(record.pausedBy).data ?? null,
    exit: json(ContainerExit, record.exit),
  };
}

/** Converts a row to the Redis record that it was made of. */
export const containerRecord = (row: ContainerRow): Fields => ({
  id: row.id,
  userId: row.userId,
  name: row.name,
  state: row.state,
  image: row.image,
  width: `${row.width}`,
  height: `${row.height}`,
  spec: JSON.stringify(row.spec),
  jobId: row.jobId,
  host: row.host,
  boot: row.boot,
  fence: `${row.fence}`,
  instanceId: row.instanceId,
  createdAt: ms(row.createdAt),
  ...(row.error === null ? {} : { error: JSON.stringify(row.error) }),
  ...(row.startedAt ? { startedAt: ms(row.startedAt) } : {}),
  ...(row.expiresAt ? { expiresAt: ms(row.expiresAt) } : {}),
  ...(row.endedAt ? { endedAt: ms(row.endedAt) } : {}),
  ...(row.endReason ? { endReason: row.endReason } : {}),
  ...(row.labels === null ? {} : { labels: JSON.stringify(row.labels) }),
  ...(row.warm ? { warm: '1' } : {}),
  ...(row.usedAt ? { usedAt: ms(row.usedAt) } : {}),
  ...(row.pausedBy ? { pausedBy: row.pausedBy } : {}),
  ...(row.exit === null ? {} : { exit: JSON.stringify(row.exit) }),
});

/** A row as its owner sees it. */
export const jobOf = (row: JobRow): Job => jobFromRecord(jobRecord(row)) as Job;
export const containerOf = (row: ContainerRow): Container =>
  containerFromRecord(containerRecord(row)) as Container;

const ms = (date: Date): string => `${date.getTime()}`;
const dateOf = (text: string | undefined): Date | null => (text ? new Date(Number(text)) : null);
const json = <Schema extends z.ZodType>(schema: Schema, text: string | undefined): z.output<Schema> | null =>
  text ? parseJson(schema, text) : null;
