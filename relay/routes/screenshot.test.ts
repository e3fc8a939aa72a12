import { screenshotPath } from '@warmwind/shared/screen';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/testing/wait.ts';
import { LIMITS } from '../limits.ts';
import { TestHost } from '../testing/host.ts';
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

/** The id of the `n`th request that the host has heard. */
const asked = (host: TestHost, n = 1) =>
  waitFor('the request', () => host.heard.filter((said) => said.t === 'screenshot').at(n - 1));

test('the picture that the host takes is handed on as it is', async () => {
  const { url, id } = await desktop();
  const host = await TestHost.start(world, id);
  for (const [n, format] of (['png', 'jpeg'] as const).entries()) {
    const asking = ask(url, screenshotPath(id, format));
    const request = await asked(host, n + 1);
    expect(request.format).toBe(format);
    const picture = Buffer.from(`\n{} of ${format}\n`);
    await host.reply(request.id, { ok: true, width: 1, height: 1, format }, picture);
    const response = await asking;
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(`image/${format}`);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(picture);
  }
});

test('a host that only begins to listen is asked again', async () => {
  const { url, id } = await desktop();
  const asking = ask(url, screenshotPath(id, 'png'));
  const host = await TestHost.start(world, id);
  const { id: request } = await asked(host);
  await host.reply(request, { ok: true, width: 1, height: 1, format: 'png' }, Buffer.from('x'));
  expect(await (await asking).text()).toBe('x');
});

test('a host that cannot, or answers nonsense, is unavailable; a silent one times out', async () => {
  const { url, id } = await desktop();
  const host = await TestHost.start(world, id);
  const other = await world.container('ann', { state: 'running' });
  const deaf = await TestHost.start(world, other);
  const silent = ask(url, screenshotPath(other, 'png'));
  await asked(deaf, 1);
  for (const [n, head] of [{ ok: false, message: 'the display is gone' }, { ok: 'maybe' }].entries()) {
    const asking = ask(url, screenshotPath(id, 'png'));
    await host.reply((await asked(host, n + 1)).id, head);
    expect(await failure(await asking)).toEqual([503, 'unavailable']);
  }
  expect(await failure(await silent)).toEqual([504, 'upstream_timeout']);
});

const PNG = { ok: true, width: 1, height: 1, format: 'png' };

test('all who ask while one is taken share the next, which is newer than their question', async () => {
  const { url, id } = await desktop();
  const host = await TestHost.start(world, id);
  const first = ask(url, screenshotPath(id, 'png'));
  const one = await asked(host, 1);
  const later = upTo(20).map(() => ask(url, screenshotPath(id, 'png')));
  await waitFor('all to be looked up', async () => (await metric(url, 'warmwind_relay_open_answers')) === 21);
  await host.reply(one.id, PNG, Buffer.from('before'));
  await host.reply((await asked(host, 2)).id, PNG, Buffer.from('after'));
  expect(await (await first).text()).toBe('before');
  for (const response of await Promise.all(later)) expect(await response.text()).toBe('after');
  expect(host.heard.filter(({ t }) => t === 'screenshot')).toHaveLength(2);
});

test("stalled desktops and loops of one user leave others' screenshots as they are", async () => {
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
  const host = await TestHost.start(world, own);
  const asking = fetch(`${url}${screenshotPath(own, 'png')}`, {
    headers: { Authorization: `Bearer ${await ticket('bob')}` },
  });
  await host.reply((await asked(host)).id, PNG, Buffer.from('x'));
  expect((await asking).status).toBe(200);
  const statuses = await refusals;
  expect(statuses.filter(([status]) => status === 429).length).toBe(63 - LIMITS.pictureAskers);
  expect(statuses.filter(([status]) => status === 504).length).toBe(LIMITS.pictureAskers);
  expect(statuses.find(([status]) => status === 429)).toEqual([429, '1']);
});

test('what does not run has no picture; formats, links and foreign desktops are refused', async () => {
  const { url, id } = await desktop('paused');
  expect(await failure(await ask(url, screenshotPath(id, 'png')))).toEqual([409, 'conflict']);
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
