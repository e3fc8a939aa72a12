import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import { ApiError } from '@warmwind/shared/contract/errors';
import { screenshotPath } from '@warmwind/shared/contract/screen';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { picture, TestCallHost } from '../testing/call-host.ts';
import { metric, ticket, upTo, World } from '../testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

async function ask(url: string, path: string, claims: Parameters<typeof ticket>[1] = {}): Promise<Response> {
  return fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${await ticket('ann', claims)}` } });
}
const failure = async (response: Response) => [response.status, (await response.json()).code];

async function desktop(state = 'running') {
  const { url } = await world.node();
  return { url, id: await world.container('ann', { state }) };
}

const hostOf = async (id: string, userId = 'ann') => {
  const host = await TestCallHost.start(world, [containerScreenshot]);
  host.host.runs({ userId, containerId: id }, 0);
  return host;
};

/** Waits for the `n`th call that the host has taken. */
const asked = (host: TestCallHost, n = 1) => waitFor('the call', () => host.taken.at(n - 1));

test('the image of the host reaches the client unchanged', async () => {
  const { url, id } = await desktop();
  const host = await hostOf(id);
  for (const [n, format] of (['png', 'jpeg'] as const).entries()) {
    const asking = ask(url, screenshotPath(id, format));
    const { call, answer } = await asked(host, n + 1);
    expect(call.input).toEqual({ format });
    const bytes = Buffer.from(`\n{} of ${format}\n`.repeat(n === 0 ? 1 : 20_000));
    answer(picture(bytes, format));
    const response = await asking;
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': `image/${format}`,
      'x-screen-width': '4',
      'x-screen-height': '3',
      'x-incarnation': '0',
    });
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes);
  }
});

test('a call that finds no listening host is sent again once the host listens', async () => {
  const { url, id } = await desktop();
  const asking = ask(url, screenshotPath(id, 'png'));
  await waitFor('it to be asked', async () => (await metric(url, 'warmwind_relay_calls')) === 1);
  const host = await hostOf(id);
  (await asked(host)).answer(picture(Buffer.from('x')));
  expect(await (await asking).text()).toBe('x');
});

test('a failed or malformed answer of the host is unavailable; no answer is a time-out', async () => {
  const { url, id } = await desktop();
  const host = await hostOf(id);
  const other = await world.container('ann', { state: 'running' });
  const silentHost = await hostOf(other);
  const silent = ask(url, screenshotPath(other, 'png'));
  await asked(silentHost);
  const cannot = ask(url, screenshotPath(id, 'png'));
  (await asked(host)).fail(new ApiError('unavailable', 'The display is gone.', { retryAfterMs: 1000 }));
  const refused = await cannot;
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(await refused.json()).toMatchObject({ code: 'unavailable', message: 'The display is gone.' });
  const nonsense = ask(url, screenshotPath(id, 'png'));
  (await asked(host, 2)).answer({ ...picture(Buffer.from('x')), type: 'text/html' });
  expect(await failure(await nonsense)).toEqual([503, 'unavailable']);
  expect(await failure(await silent)).toEqual([504, 'upstream_timeout']);
});

test('requests during a screenshot share the next one, which is newer than they are', async () => {
  const { url, id } = await desktop();
  const host = await hostOf(id);
  const first = ask(url, screenshotPath(id, 'png'));
  const one = await asked(host, 1);
  const later = upTo(20).map(() => ask(url, screenshotPath(id, 'png')));
  await waitFor('all to be looked up', async () => (await metric(url, 'warmwind_relay_open_answers')) === 21);
  one.answer(picture(Buffer.from('before')));
  (await asked(host, 2)).answer(picture(Buffer.from('after')));
  expect(await (await first).text()).toBe('before');
  for (const response of await Promise.all(later)) expect(await response.text()).toBe('after');
  expect(host.taken).toHaveLength(2);
});

test("many requests to stalled desktops of one user do not delay another user's screenshot", async () => {
  const { url, id } = await desktop();
  const stalled = await Promise.all(upTo(20).map(() => world.container('ann', { state: 'running' })));
  const answers = [id, ...stalled].flatMap((each) =>
    upTo(3).map(() => ask(url, screenshotPath(each, 'png'))),
  );
  const refusals = Promise.all(
    answers.map(async (answer) => {
      const response = await answer;
      return [response.status, response.headers.get('Retry-After')];
    }),
  );
  const own = await world.container('bob', { state: 'running' });
  const host = await hostOf(own, 'bob');
  const asking = fetch(`${url}${screenshotPath(own, 'png')}`, {
    headers: { Authorization: `Bearer ${await ticket('bob')}` },
  });
  (await asked(host)).answer(picture(Buffer.from('x')));
  expect((await asking).status).toBe(200);
  const statuses = await refusals;
  expect(statuses.filter(([status]) => status === 429).length).toBe(63 - LIMITS.callsPerSubject);
  expect(statuses.filter(([status]) => status === 504).length).toBe(LIMITS.callsPerSubject);
  expect(statuses.find(([status]) => status === 429)).toEqual([429, '1']);
});

test('paused desktops, other formats, share links and unknown desktops are refused', async () => {
  const { url, id } = await desktop('paused');
  expect(await failure(await ask(url, screenshotPath(id, 'png')))).toEqual([409, 'paused']);
  expect(await failure(await ask(url, `/containers/${id}/screenshot?format=gif`))).toEqual([
    400,
    'bad_request',
  ]);
  expect(await failure(await ask(url, screenshotPath(id, 'png'), { containerId: id }))).toEqual([
    404,
    'not_found',
  ]);
  expect(await failure(await ask(url, screenshotPath('unknown', 'png')))).toEqual([404, 'not_found']);
});
