import type { JobCommand } from '@warmwind/shared/contract/command';
import { containerExec } from '@warmwind/shared/contract/commands/container-exec';
import { containerPause } from '@warmwind/shared/contract/commands/container-pause';
import { containerResume } from '@warmwind/shared/contract/commands/container-resume';
import { containerStart } from '@warmwind/shared/contract/commands/container-start';
import { containerStop } from '@warmwind/shared/contract/commands/container-stop';
import { inference } from '@warmwind/shared/contract/commands/inference';
import {
  type Container,
  type ContainerSpec,
  containerFromRecord,
} from '@warmwind/shared/contract/containers';
import type { StoredEvent } from '@warmwind/shared/contract/events';
import { newId } from '@warmwind/shared/contract/ids';
import type { InferenceInput } from '@warmwind/shared/contract/inference';
import { type Job, type JobKind, jobFromRecord } from '@warmwind/shared/contract/jobs';
import { CANCEL_PLANS, planOf, SUBMIT_PLANS } from '@warmwind/shared/contract/plan';
import { ExecRequest } from '@warmwind/shared/contract/programs';
import { CANCELLED_CHANNEL, keys, recordPrefixes, roomKeys } from '@warmwind/shared/engine/keys';
import { containerRow, jobRow } from '@warmwind/shared/engine/ledger/rows';
import { recordSubmission } from '@warmwind/shared/engine/ledger/submissions';
import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import { JOB_DATA_VERSION, type JobData, runOptions } from '@warmwind/shared/engine/queues';
import {
  type CancelVerdict,
  ENDED_RECORD_TTL_MS,
  type JobRequest,
  MAX_CHANGES,
  OPEN_RECORD_TTL_MS,
  RESERVATION_MS,
  type SubmitRequest,
} from '@warmwind/shared/engine/records';
import { cancelJob } from '@warmwind/shared/engine/scripts/cancel.lua';
import { submitJob } from '@warmwind/shared/engine/scripts/submit.lua';
import { parseJson } from '@warmwind/shared/runtime/json';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { Queue } from 'bullmq';
import { z } from 'zod';
import type { TestRedis } from '../../infra/quality/testing/redis.ts';

/** An event of any kind of job, known to this version or not. */
const Recorded = z.custom<StoredEvent>(
  (value) => z.looseObject({ type: z.string() }).safeParse(value).success,
);

export type Submitted = { userId: string; jobId: string; containerId: string };

export type SubmissionsOptions = {
  queueRedis: TestRedis;
  realtime: TestRedis;
  /** The ledger; `undefined`: none. */
  ledger?: Ledger;
  /** The image of desktops. */
  image: string;
};

/** Quotas that no test exceeds. */
const QUOTAS = { jobs: 10_000, desktops: 10_000 };

/** Submits, retries and cancels jobs as the edge does, and reads their state. */
export function createSubmissions({ queueRedis: { client }, realtime, ledger, image }: SubmissionsOptions) {
  const queues = new Map<string, Queue>();
  const queue = (name: string): Queue => {
    const made = queues.get(name) ?? new Queue(name, { connection: client, prefix: keys.bullmqPrefix(name) });
    queues.set(name, made);
    return made;
  };

  const record = async (
    { userId, jobId, containerId }: Submitted,
    starts: boolean,
    { input, retry }: { input?: string; retry?: { job: string; containers: string[] } } = {},
  ) => {
    if (!ledger) return;
    const job = jobRow(userId, await client.hgetall(keys.job(userId, jobId)));
    const desktop = starts ? await client.hgetall(keys.container(userId, containerId)) : undefined;
    const containers = desktop ? [containerRow(userId, desktop)] : [];
    const idempotency = retry ? undefined : { keyHash: jobId, requestHash: `body-${jobId}` };
    const again = retry && { at: new Date(), seqs: retry };
    await ledger.run((db) => recordSubmission(db, { job, containers, input, idempotency, retry: again }));
  };

  const submitted = async (request: SubmitRequest, job: Submitted, kind: JobKind, input = '') => {
    const { userId, jobId } = job;
    const of = { userId, scopes: [], jobId, idempotencyHash: jobId };
    const [, verdict] = await runScript(client, submitJob, of, { request: JSON.stringify(request), input });
    if (verdict.verdict !== 'accepted') throw new Error(`not accepted: ${verdict.verdict}`);
    const data: JobData = {
      version: JOB_DATA_VERSION,
      kind,
      userId,
      jobId,
      run: verdict.run,
      containerId: verdict.containerId,
      requestId: `r-${jobId}`,
    };
    return { verdict, data };
  };

  const common = (userId: string) => ({
    nonce: newId(),
    scopes: [],
    userId,
    prefixes: recordPrefixes(userId),
    quotas: QUOTAS,
    openTtlMs: OPEN_RECORD_TTL_MS,
    unconfirmedTtlMs: { record: OPEN_RECORD_TTL_MS, key: ENDED_RECORD_TTL_MS },
    reservationMs: RESERVATION_MS,
  });

  /** Submits a job as the edge does: one script that writes the records, then the ledger and one `add`. */
  const submit = async (
    command: JobCommand<JobKind>,
    job: Submitted,
    about: { containerId?: string; containers?: Record<string, string>[] } = {},
    {
      more = {},
      recorded = true,
      input,
    }: { more?: Partial<JobRequest>; recorded?: boolean; input?: object } = {},
  ) => {
    const { userId, jobId } = job;
    const { kind } = command;
    const kept = command.keepsInput ? JSON.stringify(input ?? {}) : '';
    const { verdict, data } = await submitted(
      {
        ...common(userId),
        plan: planOf(command, command.lane(input ?? {})),
        job: { id: jobId, kind, requestId: `r-${jobId}`, ...more },
        ...about,
      },
      job,
      kind,
      kept,
    );
    if (recorded) await record(job, about.containers !== undefined, kept ? { input: kept } : {});
    await queue(verdict.queue).add(kind, data, runOptions(verdict));
    return { ...job, data, queue: verdict.queue };
  };

  return {
    queue,
    /** Starts a desktop. `recorded: false`: without a row in the ledger. */
    startDesktop: (
      spec: Partial<ContainerSpec> = {},
      userId = `u-${newId().slice(0, 8)}`,
      recorded = true,
      containerId = newId(),
    ) => {
      const full = {
        image,
        width: 800,
        height: 600,
        ttlSeconds: 3600,
        memoryMb: 256,
        cpus: 1,
        gpus: 0,
        env: {},
        network: 'none',
        ...spec,
      };
      const container = {
        id: containerId,
        userId,
        name: 'test',
        image: 'desktop',
        width: String(full.width),
        height: String(full.height),
        spec: JSON.stringify(full),
      };
      const job = { userId, jobId: newId(), containerId };
      return submit(containerStart, job, { containers: [container] }, { recorded });
    },
    stopDesktop: ({ userId, containerId }: Submitted, recorded = true) =>
      submit(containerStop, { userId, jobId: newId(), containerId }, { containerId }, { recorded }),
    pauseDesktop: ({ userId, containerId }: Submitted) =>
      submit(containerPause, { userId, jobId: newId(), containerId }, { containerId }),
    resumeDesktop: ({ userId, containerId }: Submitted) =>
      submit(containerResume, { userId, jobId: newId(), containerId }, { containerId }),
    /** Runs a program in a desktop. */
    exec: (
      { userId, containerId }: Pick<Submitted, 'userId' | 'containerId'>,
      request: z.input<typeof ExecRequest>,
    ) => {
      const { timeoutMs, ...input } = ExecRequest.parse(request);
      const job = { userId, jobId: newId(), containerId };
      return submit(containerExec, job, { containerId }, { more: { timeoutMs }, input });
    },
    /** Submits a command of an unknown kind on a desktop, as the edge of a later version does. */
    submitUnknown: ({ userId, containerId }: Submitted) => {
      const { enters: _, once: __, ...stop } = containerStop;
      const command = {
        ...stop,
        kind: 'container.unheard-of' as JobKind,
        lane: () => 'work' as const,
        counts: true,
      };
      const job = { userId, jobId: newId(), containerId };
      // The edge of the later version writes the row in the ledger.
      return submit(command, job, { containerId }, { recorded: false });
    },
    infer: (userId = `u-${newId().slice(0, 8)}`, more: Partial<JobRequest> = {}, recorded = false) =>
      submit(inference, { userId, jobId: newId(), containerId: '' }, {}, { more, recorded }),
    /** Submits an inference with `input`. */
    ask: (input: InferenceInput, userId = `u-${newId().slice(0, 8)}`, more: Partial<JobRequest> = {}) => {
      const job = { userId, jobId: newId(), containerId: '' };
      return submit(inference, job, {}, { more, input });
    },
    /** Retries an ended job as the edge does. */
    retry: async (job: Submitted, kind: JobKind = 'container.start') => {
      const { userId, jobId } = job;
      const containerId = newId();
      const request: SubmitRequest = {
        ...common(userId),
        plans: SUBMIT_PLANS,
        job: { id: jobId, requestId: `r-${jobId}` },
        newIds: [containerId],
        maxChanges: MAX_CHANGES,
        keyTtlMs: ENDED_RECORD_TTL_MS,
      };
      const again = { userId, jobId, containerId };
      const { verdict, data } = await submitted(request, again, kind);
      const { job: written, containers = [] } = verdict.records ?? { job: { seq: '' } };
      const seqs = { job: written.seq, containers: containers.map(({ seq }) => seq) };
      await record(again, kind === 'container.start', { retry: seqs });
      await queue(verdict.queue).add(kind, data, runOptions(verdict));
      return { ...again, data, queue: verdict.queue };
    },
    /**
     * Cancels a job as the edge does: the marker, then the script.
     * @param unheard publishes to another channel, so that only the marker and the record show the
     * cancellation
     */
    cancel: async ({ userId, jobId }: Submitted, { unheard = false } = {}): Promise<CancelVerdict> => {
      await client.zadd(keys.cancellations(), Date.now(), `${userId}/${jobId}`);
      const channel = unheard ? 'unheard' : CANCELLED_CHANNEL;
      await client.zincrby(keys.changedUsers(), 1, userId);
      const args = {
        userId,
        jobId,
        endedTtlMs: ENDED_RECORD_TTL_MS,
        openTtlMs: OPEN_RECORD_TTL_MS,
        maxChanges: MAX_CHANGES,
        channel,
        plans: JSON.stringify(CANCEL_PLANS),
        containerPrefix: recordPrefixes(userId).container,
      };
      return runScript(client, cancelJob, { userId, jobId }, args);
    },

    job: async ({ userId, jobId }: Submitted): Promise<Job | undefined> =>
      jobFromRecord(await client.hgetall(keys.job(userId, jobId))),
    container: async ({ userId, containerId }: Submitted): Promise<Container | undefined> =>
      containerFromRecord(await client.hgetall(keys.container(userId, containerId))),
    /** Reads the log of a room, oldest first. */
    events: async (userId: string, room: string): Promise<StoredEvent[]> => {
      const entries = await realtime.client.xrange(roomKeys.log(userId, room), '-', '+');
      return entries.map(([, fields]) => parseJson(Recorded, fields[3] ?? '{}'));
    },
    close: () => Promise.all([...queues.values()].map((made) => made.close())),
  };
}

export type Submissions = ReturnType<typeof createSubmissions>;
