import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../../infra/quality/testing/docker.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, type Worker } from '../../testing/fleet.ts';
import { startModelServer, type TestModelServer } from '../../testing/model-server.ts';
import type { Submitted } from '../../testing/submissions.ts';

/** A job that has waited for a minute is delayed for at least this, ms. */
const LONG_DELAY_MS = 15_000;
/** Well before such a delay is over, ms. */
const EARLY_MS = 10_000;

let fleet: Fleet;
const workers = new Set<Worker>();
const servers = new Set<TestModelServer>();
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  await Promise.all([...workers].map((worker) => worker.stop()));
  await Promise.all([...servers].map((server) => server.stop()));
  workers.clear();
  servers.clear();
  await fleet.queueRedis.client.del(keys.models());
});
afterAll(() => fleet?.stop());

const serve = async (model: string): Promise<TestModelServer> => {
  const server = await startModelServer([model]);
  servers.add(server);
  return server;
};
const work = async (host: string, { url }: TestModelServer) => {
  workers.add(await fleet.worker(host, { MODEL_SERVERS: url, INFERENCE_CONCURRENCY: '2' }));
};
const ask = (model: string) => fleet.ask({ model, prompt: 'Hi' });
/** Publishes that a host serves a model, before that host exists. */
const announce = (host: string, model: string) =>
  fleet.queueRedis.client.zadd(keys.models(), Date.now() + 60_000, `${host} ${model}`);
/**
 * Lets a job have waited for a minute, and waits until a worker without its model has given it a long delay.
 */
async function age({ userId, jobId }: Submitted): Promise<void> {
  await waitFor(
    'a first delivery',
    async () => (await fleet.job({ userId, jobId, containerId: '' }))?.startedAt,
  );
  await fleet.queueRedis.client.hset(keys.job(userId, jobId), 'startedAt', Date.now() - 60_000);
  await waitFor('a long delay', async () => {
    const job = await fleet.queue('ai-inference').getJob(jobId);
    return (await job?.isDelayed()) && (job?.delay ?? 0) >= LONG_DELAY_MS;
  });
}

test('a job with a long delay is promoted when a worker that serves its model starts', async () => {
  await work('a', await serve('m'));
  await announce('b', 'n');
  const job = await ask('n');
  await age(job);
  // Entries of jobs that are no longer delayed are skipped.
  await fleet.queueRedis.client.zadd(keys.waitingForModel('n'), 1, 'ended', 2, 'gone');
  await work('b', await serve('n'));
  expect(await reached(fleet, job, 'completed', EARLY_MS)).toMatchObject({ attemptsMade: 1 });
});

test('a job with a long delay is promoted when a worker that serves its model has a free slot', async () => {
  const [other, full] = [await serve('m'), await serve('n')];
  full.scripts.push({ holdAfter: 1 }, { holdAfter: 1 });
  await work('b', full);
  const holders = [await ask('n'), await ask('n')];
  await waitFor('both slots to be taken', () => full.open === 2);
  await work('a', other);
  const job = await ask('n');
  await age(job);
  expect(full.asked).toHaveLength(2);
  full.release();
  for (const started of [...holders, job]) {
    expect(await reached(fleet, started, 'completed', EARLY_MS)).toMatchObject({ attemptsMade: 1 });
  }
});
