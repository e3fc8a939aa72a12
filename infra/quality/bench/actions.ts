import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import type { Action } from '@warmwind/shared/contract/actions/action';
import { io } from 'socket.io-client';
import { createStack } from '../e2e/stack.ts';
import { waitFor } from '../testing/wait.ts';
import { median, percentile, report } from './report.ts';

/**
 * Measures actions and pictures of one desktop through the complete platform: by the edge, and by the
 * relay's socket.
 */
const CLICKS = Number(process.env.CLICKS ?? 200);
const BATCHES = Number(process.env.BATCHES ?? 20);
const PICTURES = Number(process.env.PICTURES ?? 200);
/** Between two single actions, ms: longer than a click holds its button. */
const PAUSE_MS = 40;
const SIZE = { width: 1280, height: 720 };

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** Runs `work` several times, after a pause each. @returns how long each took, ms */
async function timed(times: number, work: (round: number) => Promise<unknown>): Promise<number[]> {
  const took: number[] = [];
  for (let round = 0; round <= times; round++) {
    await pause();
    const begun = performance.now();
    await work(round);
    // The first warms up.
    if (round > 0) took.push(performance.now() - begun);
  }
  return took;
}

/** Runs `work` several times in a row. @returns runs a second */
async function perSecond(times: number, work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  for (let round = 0; round < times; round++) await work();
  return (1000 * times) / (performance.now() - begun);
}

const ms = (name: string, took: number[], p: number, atMost?: number) => ({
  name: `${name}, p${p}`,
  value: percentile(took, p),
  unit: 'ms',
  ...(atMost === undefined ? {} : { target: { atMost } }),
});

async function startDesktop(edge: EdgeClient): Promise<string> {
  const { containerId } = await edge.startContainer(SIZE);
  const isRunning = async () => (await edge.getContainer(containerId)).state === 'running';
  await waitFor('the desktop', isRunning, 60_000);
  return containerId;
}

const stack = createStack({
  RATE_LIMITS: '{"user": [], "ip": [], "containers.start": [], "containers.actions": []}',
  MODEL_SERVER: 'off',
});
let met = true;
try {
  await stack.start();
  const { edge: url, relay, tokens } = stack.file();
  const edge = createEdgeClient({ url, token: tokens.user });
  const containerId = await startDesktop(edge);
  const { token } = await edge.createTicket({ mode: 'control' });
  const socket = io(relay, { transports: ['websocket'], auth: { token }, forceNew: true });
  const act = (actions: Action[]) => edge.act({ containerId, actions, settle: false });
  const actBySocket = async (actions: Action[]) => {
    const argument = { containerId, input: { actions, settle: false } };
    const answer = await socket.timeout(10_000).emitWithAck('container:actions', argument);
    if (!answer.ok) throw new Error(answer.message);
  };
  const click = (round: number): Action[] => [{ type: 'click', x: 640 + (round % 50), y: 600 }];
  const byEdge = await timed(CLICKS, (round) => act(click(round)));
  const bySocket = await timed(CLICKS, (round) => actBySocket(click(round)));
  const moves = Array.from({ length: 64 }, (_, n): Action => ({ type: 'move', x: 600 + n, y: 600 }));
  const keys = Array.from({ length: 64 }, (): Action => ({ type: 'key', keys: 'shift' }));
  const movesRate = 64 * (await perSecond(BATCHES, () => act(moves)));
  const keysRate = 64 * (await perSecond(BATCHES, () => act(keys)));
  met = report(`Actions, ${CLICKS} clicks and ${BATCHES} batches of 64`, [
    ms('one click by the edge', byEdge, 50, 25),
    ms('one click by the edge', byEdge, 95),
    ms('one click by the socket', bySocket, 50, 10),
    ms('one click by the socket', bySocket, 95),
    { name: 'moves a second in batches', value: movesRate, unit: '', target: { atLeast: 100 } },
    { name: 'keys a second in batches', value: keysRate, unit: '', target: { atLeast: 100 } },
  ]);

  const picture = (query: string) =>
    fetch(`${url}/containers/${containerId}/screenshot?${query}`, {
      headers: { Authorization: `Bearer ${tokens.user}` },
    });
  const read = async (query: string) => {
    const response = await picture(query);
    if (response.status !== 200) throw new Error(`a picture was answered with ${response.status}`);
    await response.arrayBuffer();
    return response.headers.get('ETag')?.slice(1, -1) ?? '';
  };
  const jpeg = await timed(PICTURES, () => read('format=jpeg'));
  const small = await timed(PICTURES, () => read('format=jpeg&maxWidth=640'));
  const rate = await perSecond(PICTURES, () => read('format=jpeg'));
  // A letter typed into the terminal that every desktop shows.
  await act([{ type: 'click', x: 500, y: 300 }]);
  const changed: number[] = [];
  for (let round = 0; round < PICTURES; round++) {
    const frame = await read('format=jpeg');
    const begun = performance.now();
    const seen = read(`format=jpeg&changedSince=${frame}&wait=10`);
    await act([{ type: 'key', keys: round % 2 === 0 ? 'x' : 'BackSpace' }]);
    await seen;
    changed.push(performance.now() - begun);
  }
  met =
    report(`Pictures of ${SIZE.width} × ${SIZE.height}, ${PICTURES} of each`, [
      ms('JPEG', jpeg, 50, 40),
      ms('JPEG', jpeg, 95, 80),
      ms('JPEG, 640 wide', small, 50),
      { name: 'pictures a second, one after the other', value: rate, unit: '' },
      { name: 'input → changed picture, p50', value: median(changed), unit: 'ms' },
    ]) && met;
  socket.disconnect();
} finally {
  await stack.remove();
}
process.exitCode = met ? 0 : 1;
