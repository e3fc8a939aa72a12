import { createHash } from 'node:crypto';
import { ApiError } from '@warmwind/shared/contract/errors';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, killed, reached } from '../testing/fleet.ts';
import { RecordingTerminal, TestAgent } from './testing/agent.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

test('a call whose worker is killed has an unknown outcome, is never carried out twice, and leaves no button pressed', async () => {
  const worker = fleet.process('a');
  const desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed', ENGINE_WITHIN_MS);
  const agent = await TestAgent.of(fleet, desktop);
  const terminal = await RecordingTerminal.open(agent, 'death');
  await terminal.clear();
  const keyHash = createHash('sha256').update('k').digest('hex');
  const seen = new AbortController();
  const act = (signal?: AbortSignal) =>
    agent.act(
      [
        { type: 'click', x: 9, y: 9 },
        { type: 'button_down' },
        { type: 'wait', ms: 30_000 },
        { type: 'move', x: 5, y: 5 },
      ],
      {},
      { keyHash, ...(signal ? { signal } : {}) },
    );
  const first = act(seen.signal).catch((error: unknown) => error);
  await terminal.reports(3);
  await killed(worker);
  fleet.process('a');
  const repeated = await waitFor('an answer', () => act().catch((error: ApiError) => error), 30_000);
  expect(repeated).toBeInstanceOf(ApiError);
  expect(repeated).toMatchObject({ code: 'outcome_unknown' });
  await agent.act([{ type: 'move', x: 200, y: 200 }]);
  const reports = await terminal.reports(4);
  expect(reports.map(({ pressed }) => pressed)).toEqual([true, false, true, false]);
  seen.abort();
  await first;
  await agent.close();
}, 120_000);
