import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { newId } from '@warmwind/shared/contract/ids';
import type { Job, JobState } from '@warmwind/shared/contract/jobs';
import type { StoredEvent } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { Ledger } from '@warmwind/shared/engine/node/ledger';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { startEngine } from '../../infra/quality/testing/docker.ts';
import { startPostgres } from '../../infra/quality/testing/postgres.ts';
import { startRedis } from '../../infra/quality/testing/redis.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { type App, createApp } from '../app.ts';
import { readConfig } from '../config.ts';
import { instanceName, LABELS } from '../containers/spec.ts';
import { createSubmissions, type Submissions, type Submitted } from './submissions.ts';

/** `LOG_LEVEL=debug npx vitest …` shows the logs of the workers. */
const LOG_LEVEL = process.env.LOG_LEVEL ?? 'silent';
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

/** A worker in this process. */
export type Worker = App & { host: string; stop: () => Promise<void> };

/**
 * Starts a separate fleet: two real Redis servers, a PostgreSQL, and the machine's Docker Engine with a
 * unique label.
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
    INFERENCE_LIMIT: '1000/s',
    WEBHOOK_SECRET: 'signs-webhooks-of-tests-0123456789',
    ...more,
  });

  const submissions = createSubmissions({ queueRedis, realtime, ledger, image });

  return {
    fleet,
    docker,
    image,
    queueRedis,
    realtime,
    postgres,
    ledger,
    env,

    ...submissions,

    /** Starts a worker in this process. */
    worker: async (host: string, more: Record<string, string> = {}): Promise<Worker> => {
      const log = createLog('test', { host });
      log.level = LOG_LEVEL;
      // It does not die while the test runs: it needs no beats, which a thread of its own would send.
      const app = createApp(readConfig(env(host, { DEAD_AFTER_MS: '0', ...more })), log);
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
    /** Starts a worker in its own process, which can be killed. */
    process: (host: string, more: Record<string, string> = {}): ChildProcess => {
      const child = spawn('node', [MAIN], {
        env: { PATH: process.env.PATH, LOG_LEVEL, ...env(host, more) },
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      processes.add(child);
      return child;
    },

    /** Lists the engine containers of this fleet. */
    containers: () => docker.listContainers({ all: true, filters }),
    /** Finds the name of a running desktop's engine container, which is also that of its volume. */
    instance: async ({ userId, containerId }: Submitted): Promise<string> => {
      const key = keys.container(userId, containerId);
      const [host = '', instanceId = ''] = await queueRedis.client.hmget(key, 'host', 'instanceId');
      return instanceName(fleet, host ?? '', instanceId ?? '');
    },
    volumes: async () => (await docker.listVolumes({ filters })).Volumes ?? [],
    /** Lists the names of those that have the sockets of a container. */
    socketVolumes: async () => {
      const { Volumes } = await docker.listVolumes({ filters });
      return (Volumes ?? []).flatMap(({ Name }) => (Name.endsWith('-terminals') ? [] : [Name]));
    },

    stop: async () => {
      await Promise.all([...workers].map((worker) => worker.stop()));
      for (const child of processes) await killed(child);
      await submissions.close();
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

/** Kills a process with SIGKILL and waits for its exit. */
export async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await waitFor('the process to be gone', () => child.exitCode !== null || child.signalCode !== null);
}

export const types = (events: StoredEvent[]): string[] => events.map(({ type }) => type);

/** Waits for a job to reach a state. */
export const reached = (
  fleet: Pick<Submissions, 'job'>,
  job: Submitted,
  state: JobState,
  withinMs?: number,
): Promise<Job> =>
  waitFor(
    `job ${state}`,
    async () => {
      const now = await fleet.job(job);
      return now?.state === state ? now : undefined;
    },
    withinMs,
  );

/** Waits until a room's last event is of this type. @returns all events of the room */
export const waitForEvents = (
  fleet: Pick<Submissions, 'events'>,
  { userId }: Submitted,
  room: string,
  last: string,
): Promise<StoredEvent[]> =>
  waitFor(`${last} in ${room}`, async () => {
    const events = await fleet.events(userId, room);
    return events.at(-1)?.type === last ? events : undefined;
  });
