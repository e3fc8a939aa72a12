import type { EventType } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { launch, logIn } from '../../quality/e2e/browser.ts';
import { storedEvent } from '../../quality/testing/events.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { signToken } from './testing.ts';
import { type EdgeWithRelay, startEdgeWithRelay } from './with-relay.ts';

/** The console in Chromium, on an edge and a relay without workers. */
let system: EdgeWithRelay;
let browser: Browser;
let origin: string;
let insecure: string;
let users = 0;

beforeAll(async () => {
  system = await startEdgeWithRelay({ RATE_LIMITS: '{"user": ["60/min"], "containers.start": []}' });
  origin = system.edge.url;
  insecure = `http://lab.test:${new URL(origin).port}`;
  browser = await launch(['--host-resolver-rules=MAP lab.test 127.0.0.1']);
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});
afterAll(async () => {
  await browser?.close();
  await system?.stop();
});

type Visit = { page: Page; requests: { method: string; path: string; status: number; key?: string }[] };

/** A page that records its requests to the API. */
async function visit(): Promise<Visit> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const requests: Visit['requests'] = [];
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (response.request().resourceType() !== 'fetch' || pathname.startsWith('/health')) return;
    const key = response.request().headers()['idempotency-key'];
    const method = response.request().method();
    requests.push({ method, path: pathname, status: response.status(), ...(key ? { key } : {}) });
  });
  return { page, requests };
}
const newUser = () => `user-${++users}`;
const starts = ({ requests }: Visit) => requests.filter(({ path }) => path === '/containers/start');
const isLive = (page: Page) => page.waitForSelector('header .state.live');
const queue = () => system.edge.gateway.redis.client;

/** A job of `user` that has ended, with all of its events in the user's room. */
async function finishedJob(user: string, n: number): Promise<void> {
  const jobId = `job-${n}`;
  const createdAt = Date.now() - 3_600_000 + n * 1000;
  const fields = { id: jobId, kind: 'inference', run: 1, attemptsMade: 1, createdAt };
  await queue().hset(keys.job(user, jobId), { ...fields, state: 'completed', finishedAt: createdAt + 900 });
  await queue().zadd(keys.jobs(user), createdAt, jobId);
  const time = new Date(createdAt).toISOString();
  const event = (type: EventType, data = {}) => ({
    event: storedEvent(type, { jobId, ...data }, { time }),
    token: `${type}:1`,
  });
  const texts = [
    event('job.queued'),
    event('job.active'),
    event('job.completed', { result: { text: 'yes' } }),
  ];
  await appendEvents(system.realtime.client, { userId: user, room: `job:${jobId}` }, texts);
}

test('a user with hundreds of jobs opens the console for the requests of its lists', async () => {
  const user = newUser();
  for (let n = 0; n < 250; n++) await finishedJob(user, n);
  const seen = await visit();
  await seen.page.goto(origin);
  await logIn(seen.page, await signToken({ sub: user }));
  await isLive(seen.page);
  await waitFor('the jobs', async () => (await seen.page.locator('.jobs tr').count()) === 50);
  await finishedJob(user, 250);
  await seen.page.locator('td[title=job-250]').waitFor();
  await waitFor('the requests of the lists', () => seen.requests.length >= 6);
  expect(seen.requests.map(({ path }) => path).sort()).toEqual([
    '/containers',
    '/jobs',
    '/limits',
    '/limits',
    '/models',
    '/realtime/token',
  ]);
  expect(seen.requests.every(({ status }) => status < 300)).toBe(true);
});

test('at the rate limit nothing is shown as empty, and everything is loaded when there is room again', async () => {
  const user = newUser();
  await finishedJob(user, 1);
  const token = await signToken({ sub: user });
  const seen = await visit();
  await seen.page.goto(origin);
  await logIn(seen.page, token);
  await isLive(seen.page);
  await Promise.all(Array.from({ length: 60 }, () => system.edge.call(user, 'GET', '/models')));
  await seen.page.clock.install();
  const before = seen.requests.length;
  await seen.page.reload();
  for (const what of ['Your desktops', 'Your jobs', 'The models']) {
    await seen.page
      .getByText(
        new RegExp(`${what} could not be loaded: your rate limit is reached. Trying again in \\d+ seconds?`),
      )
      .waitFor();
  }
  expect(await seen.page.getByText(/No desktop yet|No worker serves|appear here/).count()).toBe(0);
  expect(seen.requests.length - before).toBeLessThan(10);
  await seen.page.getByRole('button', { name: 'Start a desktop' }).click();
  const refused = seen.page.getByText(/^Over the limit of 60\/min: try again in \d+ seconds?\.$/);
  await refused.waitFor();

  await queue().del(keys.limit(user, 'user'));
  const admitted = async () => (await system.edge.call(user, 'GET', '/models')).status === 200;
  await waitFor('the edge to ask the limiter again', admitted);
  await seen.page.clock.runFor(61_000);
  await seen.page.getByText('No desktop yet').waitFor();
  await seen.page.getByText('No worker serves a model now.').waitFor();
  await seen.page.locator('td[title=job-1]').waitFor();
  await isLive(seen.page);
  expect(await seen.page.getByText('could not be loaded').count()).toBe(0);
  expect(await refused.count()).toBe(0);
});

test('the console works over plain HTTP on another host than localhost; three clicks start one desktop', async () => {
  const user = newUser();
  const seen = await visit();
  const errors: string[] = [];
  seen.page.on('pageerror', ({ message }) => errors.push(message));
  await seen.page.goto(insecure);
  expect(await seen.page.evaluate(() => [isSecureContext, typeof crypto.randomUUID])).toEqual([
    false,
    'undefined',
  ]);
  await logIn(seen.page, await signToken({ sub: user }));
  await isLive(seen.page);
  await seen.page.getByRole('button', { name: 'Start a desktop' }).click({ clickCount: 3, delay: 30 });
  await seen.page.locator('.card').first().waitFor();
  await seen.page.getByRole('button', { name: 'Start a desktop', disabled: false }).waitFor();
  expect(starts(seen)).toHaveLength(1);
  const name = seen.page.getByLabel('Name');
  await name.fill('second');
  for (let n = 0; n < 3; n++) await name.press('Enter');
  await seen.page.getByRole('button', { name: 'Start a desktop', disabled: false }).waitFor();
  expect(starts(seen)).toHaveLength(2);
  expect(await queue().zcard(keys.containers(user))).toBe(2);

  await seen.page.locator('.card a.screen').first().click();
  await seen.page.getByText('no controller').waitFor();
  await seen.page.getByRole('button', { name: 'Share to view' }).click();
  await seen.page.getByRole('button', { name: 'Copy' }).click();
  await seen.page.getByText(/^copied, valid until/).waitFor();
  const link = await seen.page.getByLabel('Share link').inputValue();
  const guest = await visit();
  guest.page.on('pageerror', ({ message }) => errors.push(message));
  await guest.page.goto(link);
  await guest.page.getByText('view only').waitFor();
  expect(errors).toEqual([]);
});

test('a start whose answer was lost is the same start at the next try', async () => {
  const user = newUser();
  const seen = await visit();
  let lost = 0;
  await seen.page.route('**/containers/start', async (route) => {
    if (lost > 0) return route.continue();
    lost += 1;
    await route.fetch();
    const json = { code: 'unavailable', message: 'Try again.', retryAfterMs: 60_000 };
    await route.fulfill({ status: 503, json });
  });
  await seen.page.goto(origin);
  await logIn(seen.page, await signToken({ sub: user }));
  await isLive(seen.page);
  const start = seen.page.getByRole('button', { name: 'Start a desktop' });
  await start.click();
  await seen.page.getByText('Try again.').waitFor();
  await start.click();
  await waitFor('the second start', () => starts(seen).length === 2);
  await waitFor('no alert', async () => (await seen.page.getByRole('alert').count()) === 0);
  const [first, second] = starts(seen);
  expect([first?.status, second?.status, second?.key]).toEqual([503, 202, first?.key]);
  expect(await queue().zcard(keys.containers(user))).toBe(1);
  await start.click();
  await waitFor('another start', () => starts(seen).length === 3);
  expect(starts(seen)[2]?.key).not.toBe(first?.key);
});

test('a double click on Retry retries a job once', async () => {
  const user = newUser();
  await finishedJob(user, 1);
  await queue().hset(keys.job(user, 'job-1'), { state: 'failed' });
  const seen = await visit();
  await seen.page.goto(origin);
  await logIn(seen.page, await signToken({ sub: user }));
  await seen.page.getByRole('button', { name: 'Retry' }).dblclick();
  await waitFor('the answer', () => seen.requests.some(({ path }) => path === '/jobs/job-1/retry'));
  await seen.page.getByRole('button', { name: 'Retry', disabled: false }).waitFor();
  expect(seen.requests.filter(({ path }) => path === '/jobs/job-1/retry')).toHaveLength(1);
});

test('a double click on Share makes one link, and on Stop stops once', async () => {
  const user = newUser();
  const { body } = await system.edge.call(user, 'POST', '/containers/start', { body: {} });
  const id = String(body.containerId);
  const seen = await visit();
  const sent = (path: string) => seen.requests.filter((one) => one.path === path && one.method === 'POST');
  await seen.page.goto(`${origin}/#/desktops/${id}`);
  await seen.page.getByLabel('Access token').fill(await signToken({ sub: user }));
  await seen.page.getByRole('button', { name: 'Log in' }).click();
  await seen.page.getByRole('button', { name: 'Share to view' }).waitFor();
  const before = sent('/realtime/token').length;
  await seen.page.getByRole('button', { name: 'Share to view' }).dblclick();
  await seen.page.getByLabel('Share link').waitFor();
  await seen.page.getByRole('button', { name: 'Share to view', disabled: false }).waitFor();
  expect(sent('/realtime/token').length - before).toBe(1);
  await seen.page.getByRole('button', { name: 'Stop' }).dblclick();
  await waitFor('the answer', () => sent(`/containers/${id}/stop`).length > 0);
  await seen.page.getByRole('button', { name: 'Stop', disabled: false }).waitFor();
  expect(sent(`/containers/${id}/stop`)).toHaveLength(1);
});

test('a desktop is paused and resumed by one button, which follows its events', async () => {
  const user = newUser();
  const { body } = await system.edge.call(user, 'POST', '/containers/start', { body: {} });
  const id = String(body.containerId);
  const enter = async (state: string, type: EventType, data = {}) => {
    await queue().hset(keys.container(user, id), { state });
    const event = storedEvent(type, { containerId: id, ...data });
    await appendEvents(system.realtime.client, { userId: user, room: `container:${id}` }, [
      { event, token: type },
    ]);
  };
  await enter('running', 'container.started', { width: 8, height: 8, expiresAt: new Date().toISOString() });
  const seen = await visit();
  const sent = (path: string) => seen.requests.filter((one) => one.path === `/containers/${id}/${path}`);
  await seen.page.goto(origin);
  await logIn(seen.page, await signToken({ sub: user }));
  await seen.page.getByRole('button', { name: 'Pause' }).dblclick();
  await waitFor('the answer', () => sent('pause').length > 0);
  await enter('paused', 'container.paused', { by: 'request' });
  await seen.page.getByRole('button', { name: 'Resume', disabled: false }).click();
  await waitFor('the answer', () => sent('resume').length > 0);
  expect([sent('pause'), sent('resume')].map((all) => all.map(({ status }) => status))).toEqual([
    [202],
    [202],
  ]);
  await enter('running', 'container.resumed');
  await seen.page.getByRole('button', { name: 'Pause', disabled: false }).waitFor();
});

test('a page that is not visible reads nothing until it is', async () => {
  const seen = await visit();
  await seen.page.addInitScript(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', writable: true });
  });
  await seen.page.goto(origin);
  await logIn(seen.page, await signToken({ sub: newUser() }));
  await isLive(seen.page);
  await seen.page.getByText('Loading: your desktops…').waitFor();
  expect(seen.requests.map(({ path }) => path)).toEqual(['/limits', '/realtime/token']);
  await seen.page.evaluate(() => {
    Object.assign(document, { visibilityState: 'visible' });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await seen.page.getByText('No desktop yet').waitFor();
});

test('a server that can not be reached is reported until it answers again', async () => {
  const user = newUser();
  const { page } = await visit();
  await page.goto(origin);
  await logIn(page, await signToken({ sub: user }));
  await isLive(page);
  await page.context().setOffline(true);
  await page.getByRole('button', { name: 'Start a desktop' }).click();
  const texts = page.getByText("The server can't be reached. Check the connection; trying again.");
  await texts.waitFor();
  expect(await page.getByText('Failed to fetch').count()).toBe(0);
  await page.context().setOffline(false);
  await texts.waitFor({ state: 'detached' });
  await waitFor('no alert', async () => (await page.getByRole('alert').count()) === 0);
});

test('a page that watches a desktop costs a request a minute at most', async () => {
  const user = newUser();
  const { body } = await system.edge.call(user, 'POST', '/containers/start', { body: {} });
  const id = String(body.containerId);
  await queue().hset(keys.container(user, id), { state: 'running', host: 'worker-1' });
  const seen = await visit();
  await seen.page.clock.install();
  await seen.page.goto(origin);
  await logIn(seen.page, await signToken({ sub: user }));
  await seen.page.goto(`${origin}/#/desktops/${id}`);
  await seen.page.locator('.watchers li').waitFor();
  const before = seen.requests.length;
  for (let minute = 0; minute < 10; minute++) await seen.page.clock.runFor(60_000);
  await seen.page.locator('.watchers li', { hasText: 'this page' }).waitFor();
  expect(seen.requests.slice(before).length).toBeLessThanOrEqual(10);
}, 60_000);
