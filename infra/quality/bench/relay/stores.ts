import { randomUUID } from 'node:crypto';
import { RELAY_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import { SignJWT } from 'jose';
import { startRedis } from '../../testing/redis.ts';

const SECRET = 'signs-tickets-of-benchmarks-0123456789';
export const USER = 'bench';

/** Starts two Redis servers with the records of a running desktop and of the job that started it. */
export async function startStores() {
  const [queue, realtime] = [await startRedis(), await startRedis()];
  const addDesktop = async () => {
    const [containerId, jobId] = [randomUUID(), randomUUID()];
    const record = { state: 'running', width: 1280, height: 720, createdAt: Date.now(), jobId };
    await queue.client.hset(keys.container(USER, containerId), { id: containerId, ...record });
    await queue.client.hset(keys.job(USER, jobId), {
      id: jobId,
      kind: 'container.start',
      state: 'queued',
      run: 1,
    });
    return { containerId, jobId };
  };
  return {
    queue,
    realtime,
    ...(await addDesktop()),
    /** Adds a desktop with its job. */
    addDesktop,
    /** The environment of a relay's process. */
    env: { REDIS_QUEUE_URL: queue.url, REDIS_REALTIME_URL: realtime.url, AUTH_SECRET: SECRET },
    /** Makes a ticket to watch. */
    ticket: () =>
      new SignJWT({ mode: 'view' })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(USER)
        .setJti(randomUUID())
        .setAudience(RELAY_AUDIENCE)
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(SECRET)),
    stop: async () => {
      await Promise.all([queue.stop(), realtime.stop()]);
    },
  };
}
