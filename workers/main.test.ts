import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../infra/quality/testing/docker.ts';
import { freePort } from '../infra/quality/testing/port.ts';
import { waitFor } from '../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached } from './testing/fleet.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

const get = async (port: number, path: string) => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
  return answer && { status: answer.status, text: await answer.text() };
};

test('a worker gets ready, counts its jobs, reports an outage in its health, and drains with exit code 0', async () => {
  const port = await freePort();
  const child = fleet.process('a', { PORT: `${port}` });
  const ready = await waitFor('ready', async () => {
    const answer = await get(port, '/health/ready');
    return answer?.status === 200 ? JSON.parse(answer.text) : undefined;
  });
  expect(ready).toMatchObject({
    status: 'ok',
    details: {
      redisQueue: { status: 'up' },
      redisRealtime: { status: 'up' },
      docker: { status: 'up' },
      disk: { status: 'up' },
      lease: { status: 'up', host: 'a' },
      ledger: { status: 'up' },
      queues: {
        containers: { waiting: 0, active: 0, delayed: 0, failed: 0, backpressure: false },
        'containers-a': { backpressure: false },
        cleanup: { backpressure: false },
      },
    },
  });
  expect(await get(port, '/health/live')).toMatchObject({ status: 200 });

  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  // The record changes first, the metric a moment later.
  const metrics = await waitFor('the job to be counted', async () => {
    const { text = '' } = (await get(port, '/metrics')) ?? {};
    return text.includes('warmwind_jobs_total{kind="container.start",outcome="completed"} 1') && text;
  });
  expect(metrics).toContain('warmwind_queue_backpressure{queue="containers"} 0');
  expect(metrics).toContain('warmwind_host_lease_held 1');

  await fleet.realtime.kill();
  await waitFor('not ready', async () => (await get(port, '/health/ready'))?.status === 503);
  await fleet.realtime.restart();
  await waitFor('ready again', async () => (await get(port, '/health/ready'))?.status === 200);

  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  expect(await fleet.container(start)).toMatchObject({ state: 'running' });
  expect(await fleet.containers()).toHaveLength(1);
});

test('an invalid environment variable is named, and its value is never quoted', async () => {
  const child = fleet.process('NOT A HOST');
  expect((await once(child, 'exit'))[0]).not.toBe(0);
});
