import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { BrowserDesktop, firstPage } from './browser-desktop.ts';

/** Records what the page sees of wheel, buttons and keys. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>A form</title>
<style>body * { position: absolute; box-sizing: border-box; font: 24px monospace } p { white-space: nowrap }</style>
<input id="name" style="left: 100px; top: 100px; width: 400px; height: 50px">
<input id="city" style="left: 100px; top: 200px; width: 400px; height: 50px">
<p id="text" style="left: 100px; top: 300px; margin: 0">first second third</p>
<input id="range" type="range" min="0" max="100" value="0" style="left: 100px; top: 400px; width: 400px; height: 40px; margin: 0">
<button id="button" style="left: 100px; top: 500px; width: 200px; height: 60px">Press</button>
<script>
seen = { wheel: { left: 0, right: 0, up: 0, down: 0 }, clicks: [], keys: [] };
const turn = (way, notches) => { if (notches > 0) seen.wheel[way] += notches };
addEventListener('wheel', ({ wheelDeltaX: x, wheelDeltaY: y }) => {
  turn('left', x / 120); turn('right', -x / 120); turn('up', y / 120); turn('down', -y / 120);
});
button.onclick = (e) => seen.clicks.push([e.ctrlKey, e.shiftKey, e.altKey, e.button, e.detail]);
addEventListener('keydown', (e) => seen.keys.push([e.key, e.ctrlKey, e.shiftKey]));
</script>`;

type Seen = {
  /** Notches. */
  wheel: Record<'left' | 'right' | 'up' | 'down', number>;
  clicks: [ctrl: boolean, shift: boolean, alt: boolean, button: number, detail: number][];
  keys: [key: string, ctrl: boolean, shift: boolean][];
};

let inside: BrowserDesktop;
/** The page as its DevTools see it. Nothing acts through them. */
let page: Page;

beforeAll(async () => {
  inside = await BrowserDesktop.start();
  await inside.desktop.files.write('form.html', PAGE);
  // The points of the page are those of the screen.
  const browser = await inside.openChromium(['--kiosk', 'file:///home/user/form.html']);
  page = await firstPage(browser);
}, ENGINE_WITHIN_MS);
afterAll(() => inside?.stop(), 90_000);
beforeEach(async () => {
  await page.reload();
  // The desktop's own terminal comes to the front when it starts: a click on the page brings it there.
  await waitFor('the page in front', async () => {
    await inside.desktop.click(900, 700);
    return page.evaluate(() => document.hasFocus());
  });
});

const seen = (): Promise<Seen> => page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);
const valueIn = (id: string): Promise<string> => page.locator(`#${id}`).inputValue();
const selection = (): Promise<string> => page.evaluate(() => String(getSelection()));

test('the page fills the screen', async () => {
  const screen = await page.evaluate(() => [innerWidth, innerHeight, screenX, screenY]);
  expect(screen).toEqual([1280, 800, 0, 0]);
});

test('clicks, text and Tab fill the fields of a form', async () => {
  await inside.desktop.act([
    { type: 'click', x: 300, y: 125 },
    { type: 'type', text: 'Zoë Straße\tКиїв 天地' },
  ]);
  await waitFor('the text', async () => (await valueIn('city')).endsWith('地'));
  expect([await valueIn('name'), await valueIn('city')]).toEqual(['Zoë Straße', 'Київ 天地']);
});

test('`ctrl+a` selects what a field has, and text replaces it', async () => {
  await inside.desktop.act([
    { type: 'click', x: 300, y: 125 },
    { type: 'type', text: 'old text' },
    { type: 'key', keys: 'ctrl+a' },
    { type: 'type', text: 'new' },
  ]);
  await waitFor('the text', async () => (await valueIn('name')) === 'new');
  expect((await seen()).keys).toContainEqual(['a', true, false]);
});

test('a double click selects a word, a triple click its line', async () => {
  const [x, y] = [230, 315];
  await inside.desktop.doubleClick(x, y);
  await waitFor('the word', async () => (await selection()).trim() === 'second');
  // A click elsewhere lies between, else Chromium goes on counting the clicks.
  await inside.desktop.click(900, 700);
  await inside.desktop.tripleClick(x, y);
  await waitFor('the line', async () => (await selection()).trim() === 'first second third');
});

test('a drag moves a slider to where it ends', async () => {
  await inside.desktop.drag([
    { x: 108, y: 420 },
    { x: 300, y: 420 },
  ]);
  await waitFor('the slider', async () => Math.abs(Number(await valueIn('range')) - 50) <= 1);
});

test('the wheel turns by exact notches, one after the other and many at once', async () => {
  const { desktop } = inside;
  for (let notch = 0; notch < 3; notch++) await desktop.scroll(900, 600, { dy: 1 });
  await desktop.scroll(900, 600, { dy: 20 });
  await desktop.scroll(900, 600, { dy: -7 });
  await desktop.scroll(900, 600, { dx: 5 });
  await desktop.scroll(900, 600, { dx: -2 });
  // Events of the wheel that came before this click are counted by then.
  await desktop.click(200, 530);
  await waitFor('the click', async () => (await seen()).clicks.length === 1);
  expect((await seen()).wheel).toEqual({ down: 23, up: 7, right: 5, left: 2 });
});

test('clicks carry their modifiers, and leave none pressed', async () => {
  const { desktop } = inside;
  await desktop.click(200, 530, { modifiers: 'ctrl' });
  await desktop.click(200, 530, { modifiers: 'ctrl+shift' });
  await desktop.click(200, 530);
  await waitFor('three clicks', async () => (await seen()).clicks.length === 3);
  expect((await seen()).clicks.map((click) => click.slice(0, 4))).toEqual([
    [true, false, false, 0],
    [true, true, false, 0],
    [false, false, false, 0],
  ]);
});
