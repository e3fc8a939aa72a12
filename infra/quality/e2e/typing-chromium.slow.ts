import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { BrowserDesktop } from './browser-desktop.ts';
import { EUROPEAN, OTHERS } from './texts.ts';

const FORM = '<meta charset=utf8><textarea style="width:1200px;height:600px"></textarea>';
/** Of letters that are given keys while they are typed, Chromium may lose this share on a loaded machine. */
const LOST_SHARE = 0.02;

let inside: BrowserDesktop;
let area: Locator;

beforeAll(async () => {
  inside = await BrowserDesktop.start();
  const browser = await inside.openChromium();
  const page = await (browser.contexts()[0] ?? (await browser.newContext())).newPage();
  await page.goto(`data:text/html,${FORM}`);
  await page.bringToFront();
  area = page.locator('textarea');
  await waitFor('the focus', async () => {
    await inside.desktop.click(600, 400);
    await inside.desktop.type('x');
    return (await area.inputValue()).includes('x');
  });
}, ENGINE_WITHIN_MS);
afterAll(() => inside?.stop(), 90_000);

/** Types a text into the empty form. @returns the form's content once it has the text's end */
async function typed(text: string): Promise<string> {
  await area.fill('');
  await inside.desktop.type(`${text}|`);
  await waitFor('the end of the text', async () => (await area.inputValue()).endsWith('|'));
  return (await area.inputValue()).slice(0, -1);
}

test.each(Object.entries(EUROPEAN))(
  'a form in Chromium has the sentence that was typed: %s',
  async (_, text) => {
    expect(await typed(text)).toBe(text);
  },
);

test('a form in Chromium has nearly all letters of other languages', async () => {
  let characters = 0;
  let lost = 0;
  for (const text of Object.values(OTHERS)) {
    const got = [...(await typed(text))];
    characters += [...text].length;
    lost += [...text].filter((character) => !got.includes(character)).length;
    expect(got.length).toBeLessThanOrEqual([...text].length);
  }
  expect(lost / characters).toBeLessThanOrEqual(LOST_SHARE);
});
