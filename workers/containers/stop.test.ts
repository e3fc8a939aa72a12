import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, types, waitForEvents } from '../testing/fleet.ts';
import { LABELS } from './spec.ts';

let fleet: Fleet;
beforeEach(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(() => fleet?.stop());

/**
 * The creations of containers of this fleet since `sinceS`, seconds since 1970, by the events of the engine.
 */
async function creations(sinceS: number): Promise<string[]> {
  const stream = await fleet.docker.getEvents({
    since: sinceS,
    until: Math.ceil(Date.now() / 1000),
    filters: { type: ['container'], event: ['create'], label: [`${LABELS.fleet}=${fleet.fleet}`] },
  });
  return (await text(stream)).split('\n').filter(Boolean);
}

test('a stop before placement cancels the start, and the engine never creates a container', async () => {
  const beganS = Math.floor(Date.now() / 1000);
  const start = await fleet.startDesktop();
  const stop = await fleet.stopDesktop(start);
  expect(stop.queue).toBe('containers');
  await fleet.worker('a');
  await reached(fleet, stop, 'completed');
  await reached(fleet, start, 'cancelled');
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.stopped');
  expect(types(room)).toEqual(['container.requested', 'container.stopping', 'container.stopped']);
  const log = await waitForEvents(fleet, start, `job:${start.jobId}`, 'job.cancelled');
  expect(types(log).filter((type) => type === 'job.cancelled')).toHaveLength(1);
  expect(await creations(beganS)).toEqual([]);
  expect(await fleet.containers()).toEqual([]);
});

test('a stop in the middle of a start completes, the start ends too, and no container or volume is left', async () => {
  await fleet.worker('a');
  const start = await fleet.startDesktop();
  await waitFor('the placement', async () => (await fleet.container(start))?.state === 'starting');
  const stop = await fleet.stopDesktop(start);
  await reached(fleet, stop, 'completed');
  const end = await waitFor('the start to end', async () => {
    const job = await fleet.job(start);
    return job?.finishedAt ? job : undefined;
  });
  expect(['cancelled', 'completed']).toContain(end.state);
  expect(await fleet.container(start)).toMatchObject({ state: 'stopped' });
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.stopped');
  expect(types(room).slice(-2)).toEqual(['container.stopping', 'container.stopped']);
  expect(await fleet.containers()).toEqual([]);
  expect(await fleet.volumes()).toEqual([]);
});

test('a stop that reaches the wrong host is forwarded, removes the desktop and completes once', async () => {
  const beganS = Math.floor(Date.now() / 1000);
  await fleet.worker('a');
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed');
  await fleet.worker('b');
  await fleet.queue('containers-a').pause();
  const stop = await fleet.stopDesktop(start);
  await fleet.queue('containers-a').remove(stop.jobId);
  await fleet.queue('containers-a').resume();
  await fleet.queue('containers-b').add('container.stop', stop.data, { jobId: stop.jobId });
  await reached(fleet, stop, 'completed');
  expect(await creations(beganS)).toHaveLength(1);
  expect(await fleet.containers()).toEqual([]);
  const log = await waitForEvents(fleet, stop, `job:${stop.jobId}`, 'job.completed');
  expect(types(log).filter((type) => type === 'job.completed')).toHaveLength(1);
});
