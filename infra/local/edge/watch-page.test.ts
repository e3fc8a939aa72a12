import { type ContainerState, hasEnded } from '@warmwind/shared/contract/containers';
import { MAX_MESSAGE_BYTES } from '@warmwind/shared/contract/tickets';
import { keys } from '@warmwind/shared/engine/keys';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { TestHost } from '../../../relay/testing/host.ts';
import { World } from '../../../relay/testing/world.ts';
import { launch } from '../../quality/e2e/browser.ts';
import { FILLED } from '../../quality/e2e/page.ts';
import { storedEvent } from '../../quality/testing/events.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { signToken } from './testing.ts';
import { type EdgeWithRelay, startEdgeWithRelay } from './with-relay.ts';

/** The page of one desktop in Chromium, on an edge and a relay; the desktop's host is the test's. */
let system: EdgeWithRelay;
let world: World;
let browser: Browser;
let users = 0;

beforeAll(async () => {
  system = await startEdgeWithRelay({ RATE_LIMITS: '{"user": ["1000/s"]}' });
  world = await World.start(system.edge.gateway.redis, system.realtime);
  browser = await launch();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await world.tidy();
});
afterAll(async () => {
  await browser?.close();
  await system?.stop();
});

type Desktop = { user: string; id: string; host: TestHost };

async function desktop(record: Record<string, string | number> = {}): Promise<Desktop> {
  const user = `user-${++users}`;
  const id = await world.container(user, { state: 'running', name: 'mine', ...record });
  return { user, id, host: await TestHost.start(world, id, FILLED) };
}

const newContext = (options: object = {}) => browser.newContext(options);
const isLive = (page: Page) => page.waitForSelector('.viewer[data-state=live] canvas');
const button = (page: Page, name: string | RegExp, exact = true) =>
  page.getByRole('button', { name, exact: typeof name === 'string' && exact });
const badge = (page: Page) => page.locator('.tools .state');

async function logIn(page: Page, user: string, path = '/'): Promise<void> {
  await page.goto(system.edge.url + path);
  await enter(page, user);
}

async function enter(page: Page, user: string): Promise<void> {
  await page.getByLabel('Access token').fill(await signToken({ sub: user }));
  await button(page, 'Log in').click();
  await page.waitForSelector('header .state.live');
}

/** The owner's page of a desktop. */
async function openOwner({ user, id }: Desktop, context?: BrowserContext): Promise<Page> {
  const page = await (context ?? (await newContext())).newPage();
  await logIn(page, user, `/#/desktops/${id}`);
  await isLive(page);
  return page;
}

/** A guest's page, by a link that the owner's page makes. */
async function openGuest(owner: Page, mode: 'view' | 'control'): Promise<Page> {
  await button(owner, `Share to ${mode}`).click();
  const address = await owner.getByLabel('Share link').inputValue();
  await button(owner, 'Done').click();
  const page = await (await newContext()).newPage();
  await page.goto(address);
  await isLive(page);
  return page;
}

test('a guest requests control in the console, and its owner hands it over', async () => {
  const shown = await desktop();
  const owner = await openOwner(shown);
  const guest = await openGuest(owner, 'control');
  await button(owner, 'Take control').click();
  await badge(owner).getByText('you control').waitFor();
  await button(guest, 'Request control').waitFor();
  await guest.locator('.stage canvas').click();
  await guest.getByText('Another viewer controls this desktop').waitFor();
  await button(guest, 'Request control').click();
  await guest.getByText(/Requested: user-\d+ can hand it over/).waitFor();
  await owner.getByText(/guest \w{4} asks for control/).waitFor();
  await button(owner, 'Give control').click();
  await badge(guest).getByText('you control').waitFor();
  await owner.locator('.request').waitFor({ state: 'detached' });
  await guest.locator('.stage canvas').click();
  await guest.keyboard.press('a');
  await waitFor('the key', () => shown.host.inputs().some(({ input }) => input.t === 'key'));
  await button(owner, /Take control from guest/).click();
  await badge(owner).getByText('you control').waitFor();
});

test('Release keeps control free while the pointer moves, and keeps the focus on its button', async () => {
  const owner = await openOwner(await desktop());
  const guest = await openGuest(owner, 'control');
  for (const page of [owner, guest]) {
    await button(page, 'Take control').click();
    await badge(page).getByText('you control').waitFor();
    await button(page, 'Release').click();
    await badge(page).getByText('no controller').waitFor();
    await page.locator('.stage canvas').hover();
    await page.mouse.move(400, 400, { steps: 20 });
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Take control');
    await page.getByLabel('Scaling').focus();
    expect(await badge(page).textContent()).toBe('no controller');
  }
});

test('the clipboard is not shared by a guest’s page unless the guest permits it; a field carries texts', async () => {
  const shown = await desktop();
  const owner = await openOwner(shown);
  const guest = await openGuest(owner, 'control');
  const shared = (page: Page) => page.getByLabel('Share clipboard');
  for (const page of [owner, guest]) await page.locator('summary', { hasText: 'Clipboard' }).click();
  expect([await shared(owner).isChecked(), await shared(guest).isChecked()]).toEqual([true, false]);
  await shown.host.publish('cut', Buffer.from('copied there'));
  await button(owner, 'Copy to this computer').waitFor();
  expect(await button(guest, 'Copy to this computer').count()).toBe(0);
  await shared(guest).check();
  await button(guest, 'Copy to this computer').waitFor();
  await guest.getByLabel('Text for the desktop').fill('by the field');
  await button(guest, 'Put on the desktop’s clipboard').click();
  await waitFor('the text', () =>
    shown.host.inputs().some(({ input }) => input.t === 'cut' && input.text === 'by the field'),
  );
  await guest.getByLabel('Text for the desktop').fill('x'.repeat(MAX_MESSAGE_BYTES));
  await button(guest, 'Put on the desktop’s clipboard').click();
  await guest.getByText('The desktop did not accept the text').waitFor();
});

test('share links are listed after their panel is closed and the page reloaded, and revoked there', async () => {
  const owner = await openOwner(await desktop());
  const guest = await openGuest(owner, 'view');
  await openGuest(owner, 'control');
  await owner.getByRole('heading', { name: '2 share links' }).waitFor();
  await owner.reload();
  await owner.getByRole('heading', { name: '2 share links' }).waitFor();
  await owner.locator('.links li', { hasText: 'link to view' }).getByRole('button').click();
  await guest.getByText('no longer works').waitFor();
  await owner.getByRole('heading', { name: '1 share link' }).waitFor();
  await owner
    .locator('.watchers li', { hasText: 'by a link to control' })
    .getByText('Revoke the link')
    .click();
  await owner.locator('.links').waitFor({ state: 'detached' });
});

test('all links and sessions are revoked at once, after a question, by keyboard; the console connects again', async () => {
  const owner = await openOwner(await desktop());
  const guests = [await openGuest(owner, 'view'), await openGuest(owner, 'control')];
  await owner.getByRole('heading', { name: '2 share links' }).waitFor();
  const asked = () => owner.getByText('every client that is connected as you');
  await button(owner, 'Revoke all links and sessions').focus();
  await owner.keyboard.press('Enter');
  await asked().waitFor();
  expect(await owner.evaluate(() => document.activeElement?.textContent)).toBe('Keep them');
  await owner.keyboard.press('Enter');
  await asked().waitFor({ state: 'hidden' });
  const remain = 'Revoke all links and sessions';
  expect(await owner.evaluate(() => document.activeElement?.textContent)).toBe(remain);
  await owner.keyboard.press('Enter');
  await asked().waitFor();
  await owner.keyboard.press('Tab');
  await owner.keyboard.press('Enter');
  for (const guest of guests) await guest.getByText('no longer works').waitFor();
  await owner.locator('.links').waitFor({ state: 'detached' });
  await owner.waitForSelector('header .state.live');
  await isLive(owner);
});

test('Stop asks first, by pointer and by keyboard, in the list too', async () => {
  const shown = await desktop();
  const owner = await openOwner(shown);
  const asked = () => owner.getByText('Unsaved work in this desktop is lost');
  const stops = () => world.queue.client.hget(keys.container(shown.user, shown.id), 'state');
  await button(owner, 'Stop').click();
  await asked().waitFor();
  expect(await owner.evaluate(() => document.activeElement?.textContent)).toBe('Keep it running');
  await owner.keyboard.press('Escape');
  await asked().waitFor({ state: 'hidden' });
  expect(await owner.evaluate(() => document.activeElement?.textContent)).toBe('Stop');
  await owner.keyboard.press('Enter');
  await button(owner, 'Keep it running').click();
  await asked().waitFor({ state: 'hidden' });
  await owner.locator('header .home-link').click();
  await owner.locator('.card').getByRole('button', { name: 'Stop' }).click();
  await owner.locator('.card').getByText('Unsaved work').waitFor();
  expect(await stops()).toBe('running');
  await owner.keyboard.press('Tab');
  await owner.keyboard.press('Enter');
  await waitFor('the stop', async () => (await stops()) === 'stopping');
});

test('the end of a desktop’s time to live is shown to its owner and to guests, then and later', async () => {
  const shown = await desktop({ expiresAt: Date.now() + 1000 });
  const owner = await openOwner(shown);
  const guest = await openGuest(owner, 'view');
  const { user: userId, id: containerId } = shown;
  const record = { state: 'stopped', endedAt: Date.now() + 2000, endReason: 'expired' };
  await world.queue.client.hset(keys.container(userId, containerId), record);
  const event = storedEvent('container.stopped', { containerId, reason: 'expired' });
  const append = { event, token: 'end:container' };
  await appendEvents(world.realtime.client, { userId, room: `container:${containerId}` }, [append]);
  for (const page of [owner, guest]) {
    await page.locator('.stage').getByText('The desktop’s time to live is over.').waitFor();
  }
  await owner.getByText(/^time to live expired/).waitFor();
  await Promise.all([owner, guest].map((page) => page.reload()));
  await owner.getByText(/^time to live expired/).waitFor();
  for (const page of [owner, guest]) {
    await page.locator('.stage').getByText('The desktop’s time to live is over.').waitFor();
  }
});

test('the keyboard walks through the page, into the screen and out of it', async () => {
  const owner = await openOwner(await desktop());
  const focused = () => owner.evaluate(() => document.activeElement?.tagName);
  await owner.locator('a', { hasText: 'All desktops' }).focus();
  await waitFor('the screen', async () => {
    await owner.keyboard.press('Tab');
    return (await focused()) === 'TEXTAREA';
  });
  await owner.getByText('Ctrl+Alt+Shift leaves the screen by keyboard.').waitFor();
  for (const key of ['Tab', 'Tab', 'Escape']) await owner.keyboard.press(key);
  expect(await focused()).toBe('TEXTAREA');
  await owner.keyboard.press('Control+Alt+Shift');
  expect(await focused()).toBe('BUTTON');
});

test('a tab that is opened from another is logged in, without a token in its address; logging out ends both', async () => {
  const context = await newContext();
  const page = await context.newPage();
  const { user, id } = await desktop();
  await logIn(page, user);
  const opened = context.waitForEvent('page');
  await page
    .locator('.card .screen')
    .first()
    .click({ modifiers: ['Control'] });
  const other = await opened;
  await isLive(other);
  expect(other.url()).toBe(`${system.edge.url}/#/desktops/${id}`);
  expect(await other.evaluate(() => localStorage.length + document.cookie.length)).toBe(0);
  await other.reload();
  await isLive(other);
  await button(other, 'Log out').click();
  await Promise.all([page, other].map((tab) => tab.getByLabel('Access token').waitFor()));
  await page.reload();
  await page.getByLabel('Access token').waitFor();
  expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
});

test('a new tab belongs to the user who was active last, and other browsers stay logged out', async () => {
  const context = await newContext();
  const [first, second] = [await context.newPage(), await context.newPage()];
  for (const page of [first, second]) {
    await page.goto(system.edge.url);
    await page.getByLabel('Access token').waitFor();
  }
  await enter(first, 'first-user');
  await enter(second, 'second-user');
  await first.bringToFront();
  await first.locator('h2').first().click();
  const third = await context.newPage();
  await third.goto(system.edge.url);
  await third.locator('header .who', { hasText: 'first-user' }).waitFor();
  const stranger = await (await newContext()).newPage();
  await stranger.goto(system.edge.url);
  await stranger.getByLabel('Access token').waitFor();
});

/** Text whose contrast with its background is below 4.5, by WCAG's formula. */
function badlyReadable(scheme: string): string[] {
  const rgba = (text: string): number[] => {
    const context = new OffscreenCanvas(1, 1).getContext('2d');
    if (!context) return [];
    context.fillStyle = text;
    context.fillRect(0, 0, 1, 1);
    const [r = 0, g = 0, b = 0, a = 0] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r = 0, g = 0, b = 0, a = 1]: number[], under: number[]) =>
    [r, g, b].map((value, i) => value * a + (under[i] ?? 0) * (1 - a));
  const behind = (element: Element | null): number[] => {
    if (!element) return [255, 255, 255];
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, behind(element.parentElement));
  };
  const luminance = (color: number[]) => {
    const [r = 0, g = 0, b = 0] = color.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = [...document.querySelectorAll('body *')].filter((element) => {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent?.trim());
    // Text over pictures: a gradient is no color.
    return own && element.checkVisibility() && !element.closest('.screen:not(.over *)');
  });
  return texts.flatMap((element) => {
    const back = behind(element);
    const color = over(rgba(getComputedStyle(element).color), back);
    const [light = 0, dark = 0] = [luminance(color), luminance(back)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    const named = `${scheme}: ${element.tagName}.${element.className} ${element.textContent?.slice(0, 30)}`;
    return contrast < 4.5 ? [`${named} ${contrast.toFixed(2)}`] : [];
  });
}

test.each(['dark', 'light'] as const)(
  'every text has a contrast of 4.5 in the %s scheme, buttons in all states',
  async (scheme) => {
    const context = await newContext({ colorScheme: scheme });
    const shown = await desktop();
    const states: ContainerState[] = [
      'requested',
      'starting',
      'paused',
      'stopping',
      'stopped',
      'failed',
      'lost',
    ];
    for (const state of states) {
      await world.container(shown.user, { state, ...(hasEnded(state) ? { endedAt: Date.now() } : {}) });
    }
    const owner = await context.newPage();
    await owner.goto(system.edge.url);
    const seen = [...(await owner.evaluate(badlyReadable, `${scheme}, login`))];
    const look = async (where: string) => {
      seen.push(...(await owner.evaluate(badlyReadable, `${scheme}, ${where}`)));
      for (const one of await owner.locator('button:visible:enabled, summary:visible').all()) {
        await one.hover({ force: true });
        seen.push(...(await owner.evaluate(badlyReadable, `${scheme}, ${where}, hovered`)));
        await one.focus();
        seen.push(...(await owner.evaluate(badlyReadable, `${scheme}, ${where}, focused`)));
      }
      await owner.evaluate(() => {
        for (const one of document.querySelectorAll('button')) one.disabled = true;
      });
      seen.push(...(await owner.evaluate(badlyReadable, `${scheme}, ${where}, disabled`)));
    };
    await logIn(owner, shown.user);
    await owner.locator('.card').nth(states.length).waitFor();
    await look('home');
    await owner.goto(`${system.edge.url}/#/desktops/${shown.id}`);
    await owner.reload();
    await isLive(owner);
    await button(owner, 'Share to view').click();
    await owner.locator('summary').click();
    await look('desktop');
    await owner.reload();
    await isLive(owner);
    await button(owner, 'Stop').click();
    await look('dialog');
    expect([...new Set(seen)]).toEqual([]);
  },
  120_000,
);
