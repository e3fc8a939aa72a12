import { readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { viewerPath } from '@warmwind/shared/contract/screen';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestHost } from '../../../relay/testing/host.ts';
import { type TestNode, ticket, World } from '../../../relay/testing/world.ts';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';
import { launch } from './browser.ts';
import { bundlePage, FILLED, filled, ROOT, servePage } from './page.ts';

let world: World;
let node: TestNode;
let browser: Browser;
let pages: Server;
let origin: string;
let desktop: string;
let host: TestHost;

beforeAll(async () => {
  const port = await freePort();
  origin = `http://127.0.0.1:${port}`;
  const script = await bundle();
  pages = servePage(port, PAGE, script);
  [world, browser] = await Promise.all([World.start(), launch()]);
  node = await world.node({ CORS_ORIGINS: origin });
  desktop = await world.container('ann', { state: 'running' });
  host = await TestHost.start(world, desktop, FILLED);
});
afterAll(async () => {
  await browser?.close();
  pages?.close();
  await world?.stop();
});

/** A customer's page before the steps of the guide. */
const PAGE = `<!doctype html><div id="screen" style="width: 640px; height: 360px"></div>
<div id="other" style="width: 320px; height: 180px"></div><script type="module" src="/page.js"></script>`;

/**
 * Bundles the guide's code for a customer's page unchanged; `given` supplies the values that it leaves open.
 */
async function bundle(): Promise<string> {
  const guide = await readFile(join(ROOT, 'docs/guides/embedding.md'), 'utf8');
  const blocks = [...guide.matchAll(/```ts\n(.*?)\n```/gs)].map(([, code]) => code);
  const lines = blocks.find((code) => code?.includes('createViewer'));
  if (!lines) throw new Error('the guide has no code with createViewer');
  return bundlePage(
    [
      'const { api, containerId, jobId } = await globalThis.given();',
      lines,
      'Object.assign(globalThis, { connect, createViewer, relay, containerId });',
    ].join('\n'),
  );
}

async function open(): Promise<Page> {
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  const job = await world.job('ann');
  await page.exposeFunction('fetchTicket', async () => ({
    url: node.url,
    token: await ticket('ann', { mode: 'control' }),
  }));
  await page.addInitScript(
    ([containerId, jobId]) => {
      const { fetchTicket } = globalThis as unknown as { fetchTicket: () => Promise<object> };
      Object.assign(globalThis, { given: async () => ({ api: fetchTicket, containerId, jobId }) });
    },
    [desktop, job],
  );
  await page.addInitScript(countLeftovers);
  await page.goto(origin);
  await filled(page, '#screen');
  return page;
}

/** Counts timers, and listeners on objects that outlive a viewer. */
function countLeftovers(): void {
  const timers = new Set<number>();
  const listeners = new Map<string, Set<unknown>>();
  const { setTimeout: set, clearTimeout: clear } = window;
  window.setTimeout = ((run: () => void, ms?: number) => {
    const id = set(() => {
      timers.delete(id);
      run();
    }, ms);
    timers.add(id);
    return id;
  }) as typeof window.setTimeout;
  window.clearTimeout = (id) => {
    timers.delete(id as number);
    clear(id);
  };
  for (const name of ['addEventListener', 'removeEventListener'] as const) {
    const real = EventTarget.prototype[name];
    EventTarget.prototype[name] = function (this: EventTarget | undefined, ...args: Parameters<typeof real>) {
      const target = this ?? window;
      const [type, listener] = args;
      const lasts = target === window || target === document || (target as Element).id === 'other';
      const known = listeners.get(type) ?? new Set();
      if (lasts) listeners.set(type, known);
      if (lasts && name === 'addEventListener') known.add(listener);
      else known.delete(listener);
      return real.apply(target, args);
    } as typeof real;
  }
  const left = () => ({
    timers: timers.size,
    listeners: [...listeners].flatMap(([type, known]) => [...known].map(() => type)).sort(),
  });
  Object.assign(globalThis, { left });
}

const typed = () =>
  host
    .inputs()
    .flatMap(({ input }) => (input.t === 'key' && input.down ? String.fromCharCode(input.keysym) : []));
const words = (page: Page, element = '#screen') => page.locator(`${element} [role=status]`).first();

test('the guide’s code shows a fitting desktop that takes keys, and an overlay without its host', async () => {
  const page = await open();
  const canvas = page.locator('#screen canvas');
  expect(await canvas.boundingBox()).toMatchObject({ width: 640, height: 360 });
  await page.locator('#screen').evaluate((element) => {
    element.style.width = '400px';
  });
  await waitFor('the picture to fit', async () => (await canvas.boundingBox())?.width === 400);
  await canvas.click();
  await page.keyboard.type('a');
  await waitFor('the key', () => typed().length === 1);
  const [{ viewerId } = { viewerId: '' }] = host.inputs();
  await host.publish('dropped', Buffer.from(JSON.stringify({ viewerId, reason: 'too_many', count: 7 })));
  const notice = page.locator('#screen').getByText('did not reach the desktop');
  await notice.getByText('7 presses and releases').waitFor();
  await host.deaf();
  await words(page).getByText('host is away').waitFor();
  await page.keyboard.type('b');
  await notice.getByText('A key or click').waitFor();
  await host.receive();
  await words(page).waitFor({ state: 'hidden' });
  await page.keyboard.type('c');
  await waitFor('the key', () => typed().length === 2);
  expect(typed()).toEqual(['a', 'c']);
  await page.context().close();
});

type Globals = {
  connect: typeof import('@warmwind/shared/client/client').connect;
  createViewer: typeof import('@warmwind/shared/client/viewer').createViewer;
  relay: import('@warmwind/shared/client/client').Connection;
  containerId: string;
  fetchTicket: () => Promise<{ url: string; token: string }>;
  left: () => object;
  close: () => void;
};

test('a clipboard text over the limit is refused with a message; a closed viewer leaves nothing', async () => {
  const page = await open();
  const left = () => page.evaluate(() => (globalThis as unknown as Globals).left());
  await page.evaluate(() => (globalThis as unknown as Globals).relay.close());
  const before = await waitFor('rest', async () => {
    const now = await left();
    return JSON.stringify(now).includes('"timers":0') ? now : undefined;
  });
  await page.evaluate(async () => {
    const { connect, createViewer, containerId, fetchTicket } = globalThis as unknown as Globals;
    const relay = connect(await fetchTicket());
    const element = document.querySelector<HTMLElement>('#other');
    if (!element) throw new Error('no element');
    const viewer = createViewer(element, { relay, containerId, clipboard: true });
    const close = () => {
      viewer.close();
      relay.close();
    };
    Object.assign(globalThis, { close });
  });
  await filled(page, '#other');
  const paste = async (text: string) => {
    await page.evaluate((copied) => navigator.clipboard.writeText(copied), text);
    await page.locator('#other canvas').click();
    await page.keyboard.press('Control+v');
  };
  await paste('ä'.repeat(40_000));
  await page.locator('#other').getByText('too long to be pasted').waitFor();
  await host.publish('cutTooLong', Buffer.alloc(0));
  await page.locator('#other').getByText('too long to be pasted here').waitFor();
  await paste('short enough');
  await waitFor('the text', () => host.inputs().some(({ input }) => input.t === 'cut'));
  const clipboards = host.inputs().flatMap(({ input }) => (input.t === 'cut' ? input.text : []));
  expect(clipboards).toEqual(['short enough']);
  await page.evaluate(() => (globalThis as unknown as Globals).close());
  await expect.poll(left, { timeout: 10_000 }).toEqual(before);
  expect(await page.locator('#other').evaluate((element) => element.outerHTML)).toBe(
    '<div id="other" style="width: 320px; height: 180px;"></div>',
  );
  await page.context().close();
});

test('a viewer disconnected by the owner shows the reason and does not reconnect automatically', async () => {
  const page = await open();
  const [viewer] = await waitFor('the viewer', async () => {
    const headers = { Authorization: `Bearer ${await ticket('ann')}` };
    const { items } = await (await fetch(`${node.url}/containers/${desktop}/viewers`, { headers })).json();
    return items.length === 1 ? items : undefined;
  });
  const headers = { Authorization: `Bearer ${await ticket('ann')}` };
  await fetch(node.url + viewerPath(desktop, viewer.id), { method: 'DELETE', headers });
  await words(page).getByText('has disconnected you').waitFor();
  expect(await page.evaluate(() => (globalThis as unknown as Globals).relay.state)).toBe('closed');
  await page.context().close();
});

test('the desktop follows its controller’s element in size, or the viewer shows the reason', async () => {
  const page = await open();
  await page.evaluate(async () => {
    const { connect, createViewer, containerId, fetchTicket } = globalThis as unknown as Globals;
    const element = document.querySelector<HTMLElement>('#other');
    if (!element) throw new Error('no element');
    (globalThis as unknown as Globals).relay.close();
    const relay = connect(await fetchTicket());
    const viewer = createViewer(element, { relay, containerId, scaling: 'resize' });
    Object.assign(globalThis, { viewer });
  });
  await filled(page, '#other');
  const sizes = () =>
    host.inputs().flatMap(({ input }) => (input.t === 'resize' ? `${input.w} × ${input.h}` : []));
  const notice = (text: string) => page.locator('#other').getByText(text).waitFor();
  const resize = (width: number, height: number) =>
    page.locator('#other').evaluate((element, style) => Object.assign(element.style, style), {
      width: `${width}px`,
      height: `${height}px`,
    });
  const asked = (size: string) => waitFor('the request', () => sizes().at(-1) === size);
  const become = async (width: number, height: number) => {
    host.size = { width, height };
    host.epoch += 1;
    await host.key(FILLED);
    const canvas = page.locator('#other canvas');
    await waitFor('the new size', async () => {
      return (await canvas.evaluate((shown: HTMLCanvasElement) => shown.width)) === width;
    });
  };
  await resize(700, 500);
  await settle(page);
  expect(sizes()).toEqual([]);
  await act(page, 'request');
  await asked('700 × 500');
  await become(700, 500);
  for (const [width, height] of [
    [640, 480],
    [800, 450],
    [500, 300],
  ] as const) {
    // Like dragging the edge of a window.
    for (const less of [9, 6, 3]) await resize(width - less, height);
    await resize(width, height);
    await asked(`${width} × ${height}`);
    await become(width, height);
  }
  expect(sizes().length).toBeLessThan(9);
  await resize(5000, 300);
  await asked('3840 × 300');
  await notice('can’t be larger than 3840 × 2160');
  await become(3840, 300);
  await resize(300, 300);
  await asked('320 × 300');
  await notice('can’t be smaller than 320 × 240');
  await notice('did not take the size 320 × 300: it stays at 3840 × 300');
  const before = sizes();
  await act(page, 'release');
  await resize(600, 400);
  await settle(page);
  expect(sizes()).toEqual(before);
  host.size = { width: 1280, height: 720 };
  await page.context().close();
});

const act = (page: Page, action: 'request' | 'release') =>
  page.evaluate((todo) => {
    const { viewer } = globalThis as unknown as { viewer: { control: (action: string) => Promise<unknown> } };
    return viewer.control(todo);
  }, action);

/** Waits until all messages of a size change have been sent. */
async function settle(page: Page): Promise<void> {
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 400)));
  await host.settled();
}
