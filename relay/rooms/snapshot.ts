import { type Container, containerFromRecord } from '@warmwind/shared/containers';
import { type Envelope, parseRoom } from '@warmwind/shared/events';
import { type Job, jobFromRecord } from '@warmwind/shared/jobs';
import { keys } from '@warmwind/shared/keys';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { RoomId } from './log.ts';

/**
 * The present state of what a room is about, for who has missed events: one snapshot for a job or desktop, the newest
 * open jobs and desktops for a user. Each carries the position `id`: what is left of the log follows after it. Events
 * that follow with an earlier `time` than the snapshot's are history that its state already includes.
 */
export async function readSnapshots(queue: Redis, { owner, room }: RoomId, id: string): Promise<Envelope[]> {
  const subject = parseRoom(room);
  if (!subject) return [];
  const newest = LIMITS.snapshotSubjects - 1;
  const [jobs, containers] =
    subject.kind === 'user'
      ? await Promise.all([
          queue.zrevrange(keys.openJobs(owner), 0, newest),
          queue.zrevrange(keys.openContainers(owner), 0, newest),
        ])
      : [subject.kind === 'job' ? [subject.id] : [], subject.kind === 'container' ? [subject.id] : []];
  const records = await Promise.all([
    ...containers.map((container) => queue.hgetall(keys.container(owner, container))),
    ...jobs.map((job) => queue.hgetall(keys.job(owner, job))),
  ]);
  const base = { id, room, time: new Date().toISOString() };
  return records.flatMap((record, i): Envelope[] => {
    if (i < containers.length) {
      const container: Container | undefined = containerFromRecord(record);
      if (!container) return [];
      return [{ ...base, type: 'container.snapshot', data: { ...container, containerId: container.id } }];
    }
    const job: Job | undefined = jobFromRecord(record);
    return job ? [{ ...base, type: 'job.snapshot', run: job.run, data: { ...job, jobId: job.id } }] : [];
  });
}
