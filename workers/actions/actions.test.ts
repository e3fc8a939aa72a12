import { withoutPictures } from '@warmwind/shared/contract/actions/answer';
import { ApiError } from '@warmwind/shared/contract/errors';
import { screenKeys } from '@warmwind/shared/contract/screen';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';
import { RecordingTerminal, TestAgent } from './testing/agent.ts';

let fleet: Fleet;
let agent: TestAgent;
/** Reports buttons, and moves while one is pressed. */
let terminal: RecordingTerminal;

beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
  const desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  agent = await TestAgent.of(fleet, desktop);
  terminal = await RecordingTerminal.open(agent, 'mouse', { modes: '1002' });
}, ENGINE_WITHIN_MS);
beforeEach(() => terminal.clear());
afterEach(() => agent.control('release'));
afterAll(async () => {
  await agent?.close();
  await fleet?.stop();
});

const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'answered',
    (error: unknown) => (error instanceof ApiError ? error.code : error),
  );
const press = (x: number, y: number, code = 0) => ({ code, x: x + 1, y: y + 1, pressed: true });
const release = (x: number, y: number, code = 0) => ({ ...press(x, y, code), pressed: false });

test('a click reaches the program at its pixel, in the corners too', async () => {
  for (const [x, y] of [
    [0, 0],
    [799, 599],
    [0, 599],
    [400, 300],
  ] as const) {
    await terminal.clear();
    const answer = await agent.act([{ type: 'click', x, y }]);
    expect(answer).toMatchObject({
      results: [{ ok: true }],
      settled: 'off',
      cursor: { x, y },
      screen: { width: 800, height: 600 },
      incarnation: 1,
    });
    expect(await terminal.reports(2)).toEqual([press(x, y), release(x, y)]);
  }
});

test('buttons, modifiers, counts, notches and drags arrive as they were asked for', async () => {
  await agent.act([
    { type: 'click', x: 50, y: 60, button: 'right', modifiers: 'ctrl' },
    { type: 'click', button: 'middle', count: 2 },
    { type: 'scroll', x: 70, y: 80, dy: 3, dx: -1 },
    { type: 'button_down' },
  ]);
  await agent.act([{ type: 'move', x: 90, y: 80 }]);
  await agent.act([{ type: 'button_up' }]);
  const reports = await terminal.reports(14);
  expect(reports).toEqual([
    press(50, 60, 2 + 16),
    release(50, 60, 2 + 16),
    ...[press(50, 60, 1), release(50, 60, 1), press(50, 60, 1), release(50, 60, 1)],
    ...[press(70, 80, 65), press(70, 80, 65), press(70, 80, 65), press(70, 80, 66), release(70, 80, 66)],
    press(70, 80),
    press(90, 80, 32),
    release(90, 80),
  ]);
});

test('a person who takes control in the middle of a drag ends the call, and nothing stays pressed', async () => {
  const path = Array.from({ length: 100 }, (_, n) => ({ x: 100 + 2 * n, y: 100 }));
  const call = agent.act([
    { type: 'click', x: 10, y: 10 },
    { type: 'drag', path },
    { type: 'move', x: 1, y: 1 },
  ]);
  await terminal.reports(6);
  await agent.control('take');
  const answer = await call;
  expect(answer).toMatchObject({
    results: [{ ok: true }, { ok: false, error: { code: 'control_held' } }, { skipped: true }],
    stoppedAt: 1,
    settled: 'off',
  });
  await waitFor('the release', async () => (await terminal.reports(7)).at(-1)?.pressed === false);
  expect(await codeOf(agent.act([{ type: 'click', x: 10, y: 10 }]))).toBe('control_held');
  expect(await codeOf(agent.act([{ type: 'move', x: 10, y: 10 }], { control: 'take' }))).toBe('control_held');
  await expect(agent.act([{ type: 'key', keys: 'a' }])).rejects.toThrow(/A viewer of the owner \(human\)/);
  expect(await agent.act([{ type: 'wait', ms: 1 }], { screenshot: {} })).toMatchObject({
    results: [{ ok: true }],
  });
  await terminal.clear();
  expect(await agent.act([{ type: 'key', keys: 'z' }], { control: 'take' })).toMatchObject({
    results: [{ ok: true }],
  });
  expect(await terminal.receives(/z/)).toBe('z');
});

test('what a call pressed is released when it is aborted; what one left pressed, when control ends', async () => {
  const abort = new AbortController();
  const call = agent.act(
    [
      { type: 'key_down', keys: 'ctrl' },
      { type: 'move', x: 5, y: 5 },
      { type: 'button_down' },
      { type: 'wait', ms: 20_000 },
    ],
    {},
    { signal: abort.signal },
  );
  await terminal.reports(1);
  abort.abort(new Error('the test has seen enough'));
  await expect(call).rejects.toThrow('the test has seen enough');
  expect(await terminal.reports(2)).toEqual(
    [press(5, 5, 16), release(5, 5, 0 + 16)].map((report, n) =>
      n ? { ...report, code: expect.any(Number) } : report,
    ),
  );
  // Long before control ends, which would release it too.
  expect(await fleet.realtime.client.exists(screenKeys.control(agent.desktop.containerId))).toBe(1);
  await agent.act([{ type: 'key', keys: 'b' }, { type: 'button_down' }]);
  expect(await terminal.receives(/b.*M$/)).not.toContain('^B');
  // Another agent takes control: the same owner's other credential.
  await agent.act([{ type: 'key', keys: 'c' }], {}, { credential: 'token:two' });
  expect(await terminal.receives(/m.*c$/)).toContain('c');
});

test('a repeated call acts once and gets the same results, of a large answer without the pictures', async () => {
  await agent.launch(
    'xterm -geometry 120x40+0+0 -e sh -c "head -c 400000 /dev/urandom | base64 -w 0; sleep 60"',
  );
  const picture = async () => (await agent.screenshot({ format: 'png' })).bytes;
  const before = await waitFor('a picture above 64 KB', async () => {
    const bytes = await picture();
    return bytes.length > 100_000 && bytes;
  });
  expect(before.length).toBeGreaterThan(100_000);
  const repeat = () =>
    agent.act(
      [{ type: 'move', x: 11, y: 12 }, { type: 'screenshot' }],
      { screenshot: { format: 'png' } },
      { keyHash: 'd'.repeat(64) },
    );
  const first = await repeat();
  expect(first).toMatchObject({ results: [{ ok: true }, { screenshot: {} }], screenshot: { width: 800 } });
  expect(first.picturesOmitted).toBeUndefined();
  await agent.act([{ type: 'move', x: 50, y: 60 }]);
  const again = await repeat();
  expect(again).toEqual(withoutPictures(first));
  expect(again).toMatchObject({ picturesOmitted: true, cursor: { x: 11, y: 12 } });
  expect(JSON.stringify(again)).not.toContain('screenshot');
  expect((await agent.act([{ type: 'wait', ms: 1 }])).cursor).toEqual({ x: 50, y: 60 });
  await agent.inside('pkill -f "sleep 60"; true');
});

test('calls of two agents are carried out one after the other; a tenth is busy', async () => {
  const calls = Array.from({ length: 10 }, (_, n) =>
    agent.act(
      [
        { type: 'type', text: `<${n}` },
        { type: 'wait', ms: 60 },
        { type: 'type', text: '>' },
      ],
      {},
      { credential: `token:${n % 2}` },
    ),
  );
  const codes = await Promise.all(calls.map(codeOf));
  expect(codes.filter((code) => code === 'busy')).toHaveLength(1);
  expect(codes.filter((code) => code === 'answered')).toHaveLength(9);
  expect(await terminal.receives(/(<\d>){9}/)).toMatch(/^(<\d>){9}$/);
});

test('an action that changes no pixel says so, one that does says where, and a call waits until all is quiet', async () => {
  const dead = await agent.act([{ type: 'move', x: 600, y: 500 }], { settle: {} });
  expect(dead).toMatchObject({ results: [{ ok: true, changed: false }], settled: 'quiet' });
  await agent.launch(
    'xterm -geometry 20x4+100+100 -bg "#101010" -e sh -c "read line; sleep 0.4; echo late; cat"',
  );
  await waitFor('its window', async () => (await agent.pixel(200, 160)) === 0x101010);
  const typed = await agent.act(
    [
      { type: 'type', text: 'x' },
      { type: 'key', keys: 'Return' },
    ],
    {
      settle: { quietMs: 700, maxMs: 5000 },
      screenshot: { format: 'jpeg', maxWidth: 200 },
    },
  );
  const [, second] = typed.results;
  expect(typed).toMatchObject({ settled: 'quiet', screenshot: { width: 200, height: 150, format: 'jpeg' } });
  expect(second).toMatchObject({ changed: true });
  const { damage } = second as { damage: { x: number; y: number; width: number; height: number } };
  expect([damage.x >= 100, damage.y >= 100, damage.width <= 250]).toEqual([true, true, true]);
  // A terminal that never rests.
  await agent.act([{ type: 'key', keys: 'ctrl+c' }]);
  await agent.launch(
    'xterm -geometry 20x4+100+300 -bg "#202020" -e sh -c "while :; do date +%N; sleep 0.02; done"',
  );
  await waitFor('its window', async () => (await agent.pixel(280, 340)) === 0x202020);
  const busy = await agent.act([{ type: 'wait', ms: 1 }], { settle: { quietMs: 100, maxMs: 300 } });
  expect(busy).toMatchObject({ settled: 'timeout' });
  await agent.inside('pkill -f "date +%N"; true');
});

test('what an agent did is recorded in the room of the desktop, of a text its length alone', async () => {
  await agent.act([
    { type: 'click', x: 12, y: 34 },
    { type: 'type', text: 'a secret' },
    { type: 'key', keys: 'ctrl+l' },
  ]);
  const { userId, containerId } = agent.desktop;
  const events = await waitFor('the events', async () => {
    const all = await fleet.events(userId, `container:${containerId}`);
    const actions = all.filter(({ type }) => type === 'container.action');
    return actions.some(({ data }) => 'chars' in data && data.chars === 8) && actions;
  });
  const by = { type: 'agent', credential: 'token:one' };
  expect(events.slice(-3).map(({ data }) => data)).toEqual([
    { containerId, by, type: 'click', x: 12, y: 34 },
    { containerId, by, type: 'type', chars: 8 },
    { containerId, by, type: 'key' },
  ]);
  expect(JSON.stringify(events)).not.toContain('secret');
  const owners = await fleet.events(userId, `user:${userId}`);
  expect(owners.filter(({ type }) => type === 'container.action')).toEqual([]);
});

test('a picture has the size, part, format and pointer that were asked for, and 304 means the same screen', async () => {
  await agent.act([{ type: 'move', x: 400, y: 300 }], { settle: {} });
  const size = async (input: Parameters<typeof agent.screenshot>[0]) => {
    const { type, bytes } = await agent.screenshot(input);
    const { width, height, format } = await sharp(bytes).metadata();
    return [type, format, width, height];
  };
  expect(await size({ format: 'webp', maxWidth: 400, quality: 50 })).toEqual([
    'image/webp',
    'webp',
    400,
    300,
  ]);
  expect(await size({ format: 'jpeg', maxHeight: 60, maxWidth: 400 })).toEqual([
    'image/jpeg',
    'jpeg',
    80,
    60,
  ]);
  expect(await size({ region: '799,599,1,1', maxWidth: 16 })).toEqual(['image/png', 'png', 1, 1]);
  expect(await codeOf(agent.screenshot({ region: '799,599,2,1' }))).toBe('bad_request');
  const at = async (cursor: 'true' | 'false') =>
    (await agent.screenshot({ region: '380,280,40,40', cursor })).bytes;
  expect((await at('true')).equals(await at('false'))).toBe(false);

  const { headers } = await agent.screenshot();
  const changedSince = headers.ETag?.slice(1, -1) ?? '';
  expect(await agent.screenshot({ changedSince })).toMatchObject({ notModified: true });
  const waiting = agent.screenshot({ changedSince, wait: 10 });
  await agent.launch('xterm -geometry 10x2+500+100');
  expect((await waiting).notModified).toBeUndefined();
  expect((await agent.screenshot({ changedSince: 'of-another-process-1' })).notModified).toBeUndefined();
});
