import { randomUUID } from 'node:crypto';
import { RELAY_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import { SignJWT } from 'jose';
import { startRedis } from '../../testing/redis.ts';

const SECRET = 'signs-tickets-of-benchmarks-0123456789';
export const USER = 'bench';

/** Two Redis servers, and in them a running desktop and the job that started it, as relays look for them. */
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
    /** One more, with its job. */
    addDesktop,
    /** Of a relay's process. */
    env: { REDIS_QUEUE_URL: queue.url, REDIS_REALTIME_URL: realtime.url, AUTH_SECRET: SECRET },
    /** A ticket to watch. */
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
