import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Container, type ContainerSpec, containerFromRecord } from '@warmwind/shared/containers';
import type { StoredEvent } from '@warmwind/shared/events';
import { newId } from '@warmwind/shared/ids';
import type { InferenceInput } from '@warmwind/shared/inference';
import { type Job, type JobState, jobFromRecord } from '@warmwind/shared/jobs';
import { keys, roomKeys } from '@warmwind/shared/keys';
import { containerRow, jobRow } from '@warmwind/shared/ledger/rows';
import { recordSubmission } from '@warmwind/shared/ledger/submissions';
import { submitScript } from '@warmwind/shared/lua/submit.lua';
import { Ledger } from '@warmwind/shared/node/ledger';
import { createLog } from '@warmwind/shared/node/log';
import { JOB_DATA_VERSION, type JobData, runOptions } from '@warmwind/shared/queues';
import {
  ENDED_RECORD_TTL_MS,
  OPEN_RECORD_TTL_MS,
  RESERVATION_MS,
  type SubmitRequest,
  type SubmitVerdict,
  submitKeys,
} from '@warmwind/shared/records';
import { Queue } from 'bullmq';
import { startEngine } from '../../infra/testing/docker.ts';
import { startPostgres } from '../../infra/testing/postgres.ts';
import { startRedis } from '../../infra/testing/redis.ts';
import { waitFor } from '../../infra/testing/wait.ts';
import { type App, createApp } from '../app.ts';
import { readConfig } from '../config.ts';
import { LABELS } from '../containers/spec.ts';

/** `LOG_LEVEL=debug npx vitest …` shows what the workers say. */
const LOG_LEVEL = process.env.LOG_LEVEL ?? 'silent';
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

const KINDS = { start: 'container.start', stop: 'container.stop', inference: 'inference' } as const;

export type Submitted = { userId: string; jobId: string; containerId: string };

/** A worker in this process. */
export type Worker = App & { host: string; stop: () => Promise<void> };

/**
 * A fleet of its own: two real Redis servers, a PostgreSQL, the machine's Docker Engine under a label that nobody else
 * has.
 */
export async function createFleet() {
  const [queueRedis, realtime, postgres, engine] = await Promise.all([
    startRedis(),
    startRedis(),
    startPostgres({ migrated: true }),
    startEngine(),
  ]);
  const quiet = createLog('test');
  quiet.level = 'silent';
  const ledger = new Ledger(postgres.url, 'test', quiet);
  const { docker, image, socket } = engine;
  const fleet = `t-${newId().slice(0, 8)}`;
  const filters = { label: [`${LABELS.fleet}=${fleet}`] };
  const queues = new Map<string, Queue>();
  const workers = new Set<Worker>();
  const processes = new Set<ChildProcess>();

  const env = (host: string, more: Record<string, string> = {}) => ({
    REDIS_QUEUE_URL: queueRedis.url,
    REDIS_REALTIME_URL: realtime.url,
    DOCKER_SOCKET: socket,
    WORKER_HOST: host,
    FLEET: fleet,
    LEASE_MS: '2000',
    LOST_AFTER_MS: '30000',
    LEDGER_URL: postgres.url,
    RECONCILE_EVERY_MS: '500',
    ...more,
  });

  const queue = (name: string): Queue => {
    const made =
      queues.get(name) ?? new Queue(name, { connection: queueRedis.client, prefix: keys.bull(name) });
    queues.set(name, made);
    return made;
  };

  const record = async ({ userId, jobId, containerId }: Submitted, starts: boolean, input?: string) => {
    const { client } = queueRedis;
    const job = jobRow(userId, await client.hgetall(keys.job(userId, jobId)));
    const desktop = starts ? await client.hgetall(keys.container(userId, containerId)) : undefined;
    const container = desktop && containerRow(userId, desktop);
    const idempotency = { keyHash: jobId, requestHash: `body-${jobId}` };
    await ledger.run((db) => recordSubmission(db, { job, container, input, idempotency }));
  };

  /** What the edge does: one script that writes the records, then the ledger and one `add`. */
  const submit = async (
    request: Partial<SubmitRequest> & { action: 'start' | 'stop' | 'inference' },
    submitted: Submitted,
    recorded = true,
    input = '',
  ) => {
    const { userId, jobId, containerId } = submitted;
    const kind = KINDS[request.action];
    const full = {
      nonce: newId(),
      scopes: [],
      userId,
      job: { id: jobId, kind, requestId: `r-${jobId}` },
      queue: 'containers',
      containerId,
      quotas: { jobs: 100, desktops: 100 },
      openTtlMs: OPEN_RECORD_TTL_MS,
      unconfirmedTtlMs: { record: OPEN_RECORD_TTL_MS, key: ENDED_RECORD_TTL_MS },
      reservationMs: RESERVATION_MS,
      ...request,
    };
    const names = submitKeys(userId, [], { jobId, containerId, idempotencyHash: jobId });
    const answer = (await queueRedis.client.eval(
      submitScript,
      names.length,
      ...names,
      JSON.stringify(full),
      input,
    )) as [unknown, string];
    const verdict = JSON.parse(answer[1]) as SubmitVerdict;
    if (verdict.verdict !== 'accepted') throw new Error(`not accepted: ${answer[1]}`);
    const data: JobData = {
      version: JOB_DATA_VERSION,
      kind,
      userId,
      jobId,
      run: 1,
      containerId,
      requestId: `r-${jobId}`,
    };
    if (recorded) await record(submitted, request.action === 'start', input || undefined);
    await queue(verdict.queue).add(kind, data, runOptions(verdict));
    return { ...submitted, data, queue: verdict.queue };
  };

  return {
    fleet,
    docker,
    image,
    queueRedis,
    realtime,
    postgres,
    ledger,
    queue,
    env,

    /** `recorded: false`: the ledger was not told. */
    startDesktop: (
      spec: Partial<ContainerSpec> = {},
      userId = `u-${newId().slice(0, 8)}`,
      recorded = true,
    ) => {
      const containerId = newId();
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
      return submit({ action: 'start', container }, { userId, jobId: newId(), containerId }, recorded);
    },
    stopDesktop: ({ userId, containerId }: Submitted, recorded = true) =>
      submit({ action: 'stop' }, { userId, jobId: newId(), containerId }, recorded),

    /** Asks a model, as `POST /inference` does. */
    infer: (input: InferenceInput, userId = `u-${newId().slice(0, 8)}`) =>
      submit(
        { action: 'inference', queue: 'ai-inference' },
        { userId, jobId: newId(), containerId: '' },
        true,
        JSON.stringify(input),
      ),

    /** A worker in this process. */
    worker: async (host: string, more: Record<string, string> = {}): Promise<Worker> => {
      const log = createLog('test', { host });
      log.level = LOG_LEVEL;
      const app = createApp(readConfig(env(host, more)), log);
      await app.start();
      const worker: Worker = {
        ...app,
        host,
        stop: async () => {
          workers.delete(worker);
          for (const step of app.drain) await step.run();
        },
      };
      workers.add(worker);
      return worker;
    },
    /** A worker in a process of its own, which can be killed. */
    process: (host: string, more: Record<string, string> = {}): ChildProcess => {
      const child = spawn('node', [MAIN], {
        env: { PATH: process.env.PATH, LOG_LEVEL, ...env(host, more) },
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      processes.add(child);
      return child;
    },

    job: async ({ userId, jobId }: Submitted): Promise<Job | undefined> =>
      jobFromRecord(await queueRedis.client.hgetall(keys.job(userId, jobId))),
    container: async ({ userId, containerId }: Submitted): Promise<Container | undefined> =>
      containerFromRecord(await queueRedis.client.hgetall(keys.container(userId, containerId))),
    /** The log of a room, oldest first. */
    events: async (userId: string, room: string): Promise<StoredEvent[]> => {
      const entries = await realtime.client.xrange(roomKeys.log(userId, room), '-', '+');
      return entries.map(([, fields]) => JSON.parse(fields[3] ?? '{}') as StoredEvent);
    },
    /** What the engine holds of this fleet. */
    containers: () => docker.listContainers({ all: true, filters }),
    volumes: async () => (await docker.listVolumes({ filters })).Volumes ?? [],

    stop: async () => {
      await Promise.all([...workers].map((worker) => worker.stop()));
      for (const child of processes) await killed(child);
      await Promise.all([...queues.values()].map((made) => made.close()));
      for (const { Id } of await docker.listContainers({ all: true, filters })) {
        await docker.getContainer(Id).remove({ force: true, v: true });
      }
      for (const { Name } of (await docker.listVolumes({ filters })).Volumes ?? []) {
        await docker.getVolume(Name).remove();
      }
      await ledger.close();
      await Promise.all([queueRedis.stop(), realtime.stop(), postgres.stop()]);
    },
  };
}

export type Fleet = Awaited<ReturnType<typeof createFleet>>;

/** SIGKILL, and wait until it is gone. */
export async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await waitFor('the process to be gone', () => child.exitCode !== null || child.signalCode !== null);
}

export const types = (events: StoredEvent[]): string[] => events.map(({ type }) => type);

/** Waits for a job to reach a state. */
export const reached = (fleet: Fleet, job: Submitted, state: JobState, withinMs?: number): Promise<Job> =>
  waitFor(
    `job ${state}`,
    async () => {
      const now = await fleet.job(job);
      return now?.state === state ? now : undefined;
    },
    withinMs,
  );

/** Waits until a room's last event is of this type, and gives all of them. */
export const told = (
  fleet: Fleet,
  { userId }: Submitted,
  room: string,
  last: string,
): Promise<StoredEvent[]> =>
  waitFor(`${last} in ${room}`, async () => {
    const events = await fleet.events(userId, room);
    return events.at(-1)?.type === last ? events : undefined;
  });
