import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startTestEdge, type TestEdge } from '../../local/edge/testing.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { backlogOf, handler } from './backlog.ts';

let edge: TestEdge;

beforeAll(async () => {
  edge = await startTestEdge();
});
afterAll(async () => {
  await edge?.stop();
});

/** The lines that the function writes and CloudWatch reads. */
async function written(readyUrl: string): Promise<Record<string, unknown>> {
  vi.stubEnv('READY_URL', readyUrl);
  vi.stubEnv('STAGE', 'dev');
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    await handler();
    return JSON.parse(String(log.mock.calls[0]?.[0]));
  } finally {
    log.mockRestore();
    vi.unstubAllEnvs();
  }
}

it('the backlog counts the waiting and running jobs in the queues of a real edge', async () => {
  expect(await written(`${edge.url}/health/ready`)).toMatchObject({ Stage: 'dev', Ready: 1, Backlog: 0 });
  const { status } = await edge.call('ada', 'POST', '/containers/start');
  expect(status).toBe(202);
  // The edge keeps its last answer for a moment.
  const now = () => written(`${edge.url}/health/ready`);
  await waitFor('the backlog', async () => (await now()).Backlog === 1);
  expect(await now()).toMatchObject({ Ready: 1, Backlog: 1 });
});

it('an edge that does not answer is not ready, and no backlog is reported for it', async () => {
  const logged = await written(`http://127.0.0.1:1/health/ready`);
  expect(logged).toMatchObject({ Ready: 0 });
  expect(logged).not.toHaveProperty('Backlog');
});

it.each([undefined, null, 'text', {}, { details: {} }, { details: { queues: { status: 'down' } } }])(
  'an answer without depths has no backlog: %j',
  (body) => {
    expect(backlogOf(body)).toBeUndefined();
  },
);
