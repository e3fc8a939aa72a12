import type { Server } from 'node:http';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { TestHost } from '../../../relay/testing/host.ts';
import { type Watcher, watch } from '../../../relay/testing/watcher.ts';
import { type TestNode, ticket, World } from '../../../relay/testing/world.ts';
import { freePort } from '../testing/port.ts';
import { waitFor } from '../testing/wait.ts';
import { launch } from './browser.ts';
import { bundlePage, FILLED, filled, servePage } from './page.ts';

/** A host for plain HTTP that browsers do not trust like localhost. */
const LAB = 'lab.test';
const PAGE = `<!doctype html><button id="before">before</button>
<div id="screen" style="width: 640px; height: 360px"></div><button id="after">after</button>
<script type="module" src="/page.js"></script>`;
const SCRIPT = `import { connect } from '@warmwind/shared/client/client';
import { createViewer } from '@warmwind/shared/client/viewer';
globalThis.show = (given, clipboard) => {
  const relay = connect(given);
  globalThis.viewer = createViewer(document.querySelector('#screen'), {
    relay, containerId: given.containerId, clipboard,
    onControl: (control) => { globalThis.control = control; },
  });
};`;

let world: World;
let node: TestNode;
let browser: Browser;
let pages: Server;
let port: number;
let context: BrowserContext;
let id: string;
let host: TestHost;

beforeAll(async () => {
  port = await freePort();
  pages = servePage(port, PAGE, await bundlePage(SCRIPT));
  const names = [`--host-resolver-rules=MAP ${LAB} 127.0.0.1`];
  [world, browser] = await Promise.all([World.start(), launch(names)]);
});
beforeEach(async () => {
  node = await world.node({ CORS_ORIGINS: `http://127.0.0.1:${port},http://${LAB}:${port}` });
  id = await world.container('ann', { state: 'running' });
  host = await TestHost.start(world, id, FILLED);
});
afterEach(async () => {
  await context?.close();
  await world.tidy();
});
afterAll(async () => {
  await browser?.close();
  pages?.close();
  await world?.stop();
});

type Globals = {
  show: (given: object, clipboard: boolean | undefined) => void;
  viewer: import('@warmwind/shared/client/viewer').Viewer;
  control: import('@warmwind/shared/client/viewer').ViewerControl;
  used: string[];
};

type OpenOptions = { clipboard?: boolean; secure?: boolean; shared?: boolean };

async function open({ clipboard, secure = true, shared = false }: OpenOptions = {}): Promise<Page> {
  context = await browser.newContext(
    secure ? { permissions: ['clipboard-read', 'clipboard-write'] } : undefined,
  );
  const page = await context.newPage();
  await page.addInitScript(() => {
    const used: string[] = [];
    Object.assign(globalThis, { used });
    for (const name of ['readText', 'read', 'writeText', 'write'] as const) {
      const real = (navigator.clipboard as Clipboard | undefined)?.[name];
      if (!real) continue;
      Object.defineProperty(navigator.clipboard, name, {
        configurable: true,
        value: (...args: unknown[]) => {
          used.push(name);
          return Reflect.apply(real, navigator.clipboard, args);
        },
      });
    }
  });
  await page.goto(`http://${secure ? '127.0.0.1' : LAB}:${port}`);
  await page.waitForFunction(() => 'show' in globalThis);
  const token = await ticket('ann', { mode: 'control', ...(shared ? { containerId: id } : {}) });
  const given = { url: node.url, containerId: id, token };
  await page.evaluate(([to, on]) => (globalThis as unknown as Globals).show(to, on), [
    given,
    clipboard,
  ] as const);
  await filled(page, '#screen');
  return page;
}

/** Writes the browser's clipboard without a gesture in the page. */
const setClipboard = (page: Page, text: string) =>
  page.evaluate(async (copied) => {
    await Clipboard.prototype.writeText.call(navigator.clipboard, copied);
  }, text);
const clipboardOf = (page: Page) =>
  page.evaluate(() => Clipboard.prototype.readText.call(navigator.clipboard));
const used = (page: Page) => page.evaluate(() => (globalThis as unknown as Globals).used);
const clipboards = () => host.inputs().flatMap(({ input }) => (input.t === 'cut' ? [input.text] : []));
const keys = () =>
  host.inputs().flatMap(({ input }) => (input.t === 'key' ? [[input.keysym, input.down]] : []));
const offer = (page: Page) => page.getByRole('button', { name: 'Copy to this computer' });
const mine = (page: Page) => page.evaluate(() => (globalThis as unknown as Globals).control.mine);
const CONTROL_L = 0xffe3;

test.each([true, false, undefined])(
  'with clipboard: %s neither clipboard reaches the other without a gesture',
  async (clipboard) => {
    const page = await open({ clipboard });
    await setClipboard(page, 'of this computer');
    await page.locator('#screen canvas').click();
    await waitFor('control', () => mine(page));
    await page.mouse.move(5, 5);
    await page.locator('#screen').hover();
    await page.evaluate(() => window.dispatchEvent(new Event('focus')));
    await page.locator('#before').focus();
    await page.locator('#screen canvas').focus();
    await host.publish('cut', Buffer.from('of the desktop'));
    await host.publish('cut', Buffer.from('copied later'));
    if (clipboard) await offer(page).waitFor();
    await page.keyboard.press('a');
    await waitFor('the key', () => keys().length === 2);
    expect(await offer(page).count()).toBe(clipboard ? 1 : 0);
    expect(await used(page)).toEqual([]);
    expect(clipboards()).toEqual([]);
    expect(await clipboardOf(page)).toBe('of this computer');
    if (!clipboard) {
      await page.keyboard.press('Control+v');
      await waitFor('the keys', () => keys().length === 6);
      expect(clipboards()).toEqual([]);
    }
  },
);

test('Ctrl+V in the picture sends the text before the keys, and without a text only the keys', async () => {
  const page = await open({ clipboard: true });
  await setClipboard(page, 'grüße 你好');
  await page.locator('#screen canvas').click();
  await page.keyboard.press('Control+v');
  await waitFor('the keys', () => keys().some(([key, down]) => key === CONTROL_L && !down));
  const sent = host.inputs().flatMap(({ input }) => {
    if (input.t === 'cut') return [input.text];
    return input.t === 'key' ? [`${input.keysym === CONTROL_L ? 'ctrl' : 'v'} ${input.down}`] : [];
  });
  expect(sent).toEqual(['ctrl true', 'grüße 你好', 'ctrl true', 'v true', 'v false', 'ctrl false']);
  await setClipboard(page, '');
  await page.keyboard.press('Control+v');
  await waitFor('the keys', () => keys().filter(([key]) => key === 0x76).length === 4);
  expect(clipboards()).toEqual(['grüße 你好']);
});

test('a text copied by Ctrl+C reaches the browser’s clipboard; a refused text is kept and offered', async () => {
  const page = await open({ clipboard: true });
  await page.locator('#screen canvas').click();
  await page.keyboard.press('Control+c');
  await waitFor('the keys', () => keys().length === 4);
  await host.publish('cut', Buffer.from('by the keys'));
  await waitFor('the text', async () => (await clipboardOf(page)) === 'by the keys');
  expect(await offer(page).count()).toBe(0);
  await page.evaluate(() => {
    const refused = () => Promise.reject(new Error('refused'));
    Object.defineProperty(navigator.clipboard, 'writeText', { value: refused, configurable: true });
    document.execCommand = () => false;
  });
  await page.keyboard.press('Control+c');
  await waitFor('the keys', () => keys().length === 8);
  await host.publish('cut', Buffer.from('refused at first'));
  await offer(page).click();
  await page.getByText('did not permit').waitFor();
  await page.evaluate(() => {
    Object.defineProperty(navigator.clipboard, 'writeText', { value: Clipboard.prototype.writeText });
  });
  await offer(page).click();
  await waitFor('the text', async () => (await clipboardOf(page)) === 'refused at first');
  await offer(page).waitFor({ state: 'detached' });
});

test('a guest’s page keeps a copied text, and offers it once the clipboard is shared', async () => {
  const page = await open({ shared: true });
  await host.publish('cut', Buffer.from('kept'));
  await host.publish('delta', FILLED);
  await page.locator('#screen canvas').click();
  await waitFor('control', () => mine(page));
  expect(await offer(page).count()).toBe(0);
  await page.evaluate(() => (globalThis as unknown as Globals).viewer.shareClipboard(true));
  await offer(page).click();
  await waitFor('the text', async () => (await clipboardOf(page)) === 'kept');
  await page.evaluate(() => (globalThis as unknown as Globals).viewer.shareClipboard(false));
  await host.publish('cut', Buffer.from('later'));
  await page.keyboard.press('a');
  await waitFor('the key', () => keys().length === 2);
  expect(await offer(page).count()).toBe(0);
});

test('over plain HTTP the keys, the offer and a field of the page carry texts both ways', async () => {
  const page = await open({ clipboard: true, secure: false });
  expect(await page.evaluate(() => [isSecureContext, navigator.clipboard === undefined])).toEqual([
    false,
    true,
  ]);
  await host.publish('cut', Buffer.from('from the desktop'));
  await offer(page).click();
  await offer(page).waitFor({ state: 'detached' });
  const canvas = page.locator('#screen canvas');
  await canvas.click();
  // Paste the same text back: over plain HTTP the test cannot read the browser's clipboard otherwise.
  await page.keyboard.press('Control+v');
  await waitFor('the text', () => clipboards().join() === 'from the desktop');
  const pasted = await page.evaluate(() => (globalThis as unknown as Globals).viewer.paste('by a field'));
  expect(pasted).toBe(true);
  await waitFor('the text', () => clipboards().at(-1) === 'by a field');
});

/** What was entered: texts, and the keys that were pressed by number. */
const entered = () =>
  host.inputs().flatMap(({ input }): (string | number)[] => {
    if (input.t === 'text') return [input.text];
    return input.t === 'key' && input.down ? [input.keysym] : [];
  });
const BACKSPACE = 0xff08;

test('an input method sends the text that it commits, once, and nothing before', async () => {
  const page = await open();
  await page.locator('#screen canvas').click();
  const cdp = await page.context().newCDPSession(page);
  for (const text of ['n', 'に', 'にほ', 'にほん'])
    await cdp.send('Input.imeSetComposition', {
      text,
      selectionStart: text.length,
      selectionEnd: text.length,
    });
  await cdp.send('Input.insertText', { text: '日本' });
  await page.keyboard.press('Enter');
  await waitFor('the key', () => entered().length === 2);
  expect(entered()).toEqual(['日本', 0xff0d]);
});

test('the keyboard of a phone enters, deletes and corrects text', async () => {
  const page = await open();
  await page.locator('#screen canvas').click();
  const cdp = await page.context().newCDPSession(page);
  const enter = async (text: string) => {
    await cdp.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', windowsVirtualKeyCode: 229 });
    await cdp.send('Input.insertText', { text });
  };
  for (const letter of 'teh') await enter(letter);
  await page.evaluate(() => {
    const field = document.activeElement as HTMLTextAreaElement;
    field.setRangeText('the ', field.value.length - 3, field.value.length, 'end');
    field.dispatchEvent(new InputEvent('input', { inputType: 'insertReplacementText' }));
    document.execCommand('delete');
  });
  await enter('👩🏽‍💻');
  await waitFor('the emoji', () => entered().includes('👩🏽‍💻'));
  expect(entered()).toEqual(['t', 'e', 'h', BACKSPACE, BACKSPACE, 'he ', BACKSPACE, '👩🏽‍💻']);
});

test('a typed text is sent in pieces and in order, without control characters', async () => {
  const page = await open();
  await page.locator('#screen canvas').click();
  await waitFor('control', () => mine(page));
  const text = `${'ж'.repeat(300)}\u0007\nend`;
  const sent = await page.evaluate((all) => (globalThis as unknown as Globals).viewer.type(all), text);
  expect(sent).toBe(304);
  await waitFor('all pieces', () => entered().length === 2);
  expect(entered()).toEqual(['ж'.repeat(250), `${'ж'.repeat(50)}\nend`]);
});

test('Ctrl+Alt+Shift leaves the picture and releases all keys; AltGr and other keys do not', async () => {
  const page = await open();
  await page.locator('#screen canvas').click();
  await page.getByText('Ctrl+Alt+Shift leaves').waitFor();
  const focused = () => page.evaluate(() => document.activeElement?.tagName);
  for (const key of ['Tab', 'Shift+Tab', 'Escape', 'Control+Alt+Delete', 'Control+Shift+Tab']) {
    await page.keyboard.press(key);
  }
  for (const key of ['Control', 'AltGraph', 'Shift']) await page.keyboard.down(key);
  for (const key of ['Control', 'AltGraph', 'Shift']) await page.keyboard.up(key);
  expect(await focused()).toBe('TEXTAREA');
  for (const key of ['Control', 'Alt', 'Shift']) await page.keyboard.down(key);
  expect(await focused()).toBe('SPAN');
  await waitFor('nothing to be held down', () => {
    const held = new Map(keys().map(([key, down]) => [key, down]));
    return held.size > 0 && ![...held.values()].includes(true);
  });
  for (const key of ['Control', 'Alt', 'Shift']) await page.keyboard.up(key);
  const before = keys().length;
  await page.keyboard.press('Tab');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('after');
  await page.keyboard.press('Shift+Tab');
  expect(await focused()).toBe('TEXTAREA');
  expect(keys()).toHaveLength(before);
});

test('released control stays free while the pointer moves, and a click takes it', async () => {
  const page = await open();
  const canvas = page.locator('#screen canvas');
  const sweep = async () => {
    await page.mouse.move(60, 60);
    await page.mouse.move(300, 200, { steps: 20 });
  };
  await sweep();
  expect(await mine(page)).toBe(false);
  await canvas.click();
  await waitFor('control', () => mine(page));
  const act = (action: 'release' | 'request') =>
    page.evaluate((now) => (globalThis as unknown as Globals).viewer.control(now), action);
  expect(await act('release')).toBeNull();
  const before = host.inputs().length;
  await sweep();
  await page.evaluate(() => (globalThis as unknown as Globals).viewer.focus());
  await sweep();
  await waitFor('the moves to be dropped', () => dropped(5));
  expect([await mine(page), host.inputs().length]).toEqual([false, before]);
  await canvas.click();
  await waitFor('control', () => mine(page));
});

test('a guest is shown why keys are dropped; a key held when control is lost is released', async () => {
  const page = await open({ shared: true });
  const owner: Watcher = await watch(world, node.url, id, { mode: 'control' });
  await page.locator('#screen canvas').click();
  await waitFor('control', () => mine(page));
  await page.mouse.down();
  await page.keyboard.down('w');
  await waitFor('the key', () => keys().length === 1);
  await owner.socket.emitWithAck('vnc:control', { containerId: id, action: 'take' });
  await waitFor('the loss', async () => !(await mine(page)));
  await page.keyboard.press('x');
  await page.getByText('Another viewer controls this desktop').waitFor();
  await page.mouse.up();
  await page.keyboard.up('w');
  await owner.socket.emitWithAck('vnc:control', { containerId: id, action: 'release' });
  await waitFor('the release', () =>
    page.evaluate(() => (globalThis as unknown as Globals).control.holder === null),
  );
  await page.keyboard.press('w');
  await waitFor('control', () => mine(page));
  expect(keys().length).toBe(3);
});

const dropped = async (least: number) => {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  const [, count = '0'] = /^warmwind_relay_inputs_total\{outcome="not_holder"\} (\d+)/m.exec(text) ?? [];
  return Number(count) >= least;
};
