import { briefContainer, containerFromRecord } from '@warmwind/shared/contract/containers';
import { jobFromRecord } from '@warmwind/shared/contract/jobs';
import { parseRoom, type Snapshot } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { isRecordFault } from '@warmwind/shared/engine/node/record-fault';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { RoomId } from './log.ts';
import { type RecordSources, readRecord } from './records.ts';

/**
 * Reads the present state of a room's subjects, for a client that has missed events: the room's job or
 * desktop; for a user the open jobs and desktops and the newest ones, whose end the client may have missed.
 * Each snapshot carries the position `id`, after which the rest of the log follows. Its state already
 * includes events with an earlier `time`.
 */
export async function readSnapshots(
  recordSources: RecordSources,
  { owner, room }: RoomId,
  id: string,
): Promise<Snapshot[]> {
  const { queue } = recordSources;
  const subject = parseRoom(room);
  if (!subject) return [];
  const [jobs, containers] =
    subject.kind === 'user'
      ? await Promise.all([
          openAndNewest(queue, keys.openJobs(owner), keys.jobs(owner)),
          openAndNewest(queue, keys.openContainers(owner), keys.containers(owner)),
        ])
      : [subject.kind === 'job' ? [subject.id] : [], subject.kind === 'container' ? [subject.id] : []];
  const records = await Promise.all([
    ...containers.map((container) => readable(recordSources, 'container', owner, container)),
    ...jobs.map((job) => readable(recordSources, 'job', owner, job)),
  ]);
  const base = { id, room, time: new Date().toISOString() };
  return records.flatMap((record, i): Snapshot[] => {
    if (i < containers.length) {
      const container = containerFromRecord(record);
      if (!container) return [];
      const data = { ...briefContainer(container), containerId: container.id };
      return [{ ...base, type: 'container.snapshot', data }];
    }
    const job = jobFromRecord(record);
    return job ? [{ ...base, type: 'job.snapshot', run: job.run, data: { ...job, jobId: job.id } }] : [];
  });
}

/** Reads a record; empty when it is malformed, so that it does not hide the others. */
const readable: typeof readRecord = (...asked) =>
  readRecord(...asked).catch((error: unknown) => {
    if (!isRecordFault(error)) throw error;
    return {};
  });

/** Reads the ids of the open records, then of the newest of all, up to `snapshotSubjects`. */
async function openAndNewest(queue: Redis, openKey: string, allKey: string): Promise<string[]> {
  const last = LIMITS.snapshotSubjects - 1;
  const [open, newest] = await Promise.all([
    queue.zrevrange(openKey, 0, last),
    queue.zrevrange(allKey, 0, last),
  ]);
  return [...new Set([...open, ...newest])].slice(0, LIMITS.snapshotSubjects);
}
