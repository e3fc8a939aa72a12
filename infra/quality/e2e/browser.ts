import { type Browser, chromium, type Page } from 'playwright-core';
import type { StackFile } from '../../local/stack/state.ts';
import { waitFor } from '../testing/wait.ts';

/** Only the page itself may use the network. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @param args further arguments of Chromium */
export const launch = (args: string[] = []): Promise<Browser> =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [...ARGS, ...args] });

/** Opens the console with its user logged in. */
export async function openConsole(browser: Browser, stack: StackFile): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1360, height: 860 } });
  await page.goto(`${stack.edge}/`);
  await logIn(page, stack.tokens.user);
  return page;
}

/** Logs a user in on the console's first page. */
export async function logIn(page: Page, token: string): Promise<void> {
  await page.getByLabel('Access token').fill(token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.waitForSelector('.home');
}

/** Waits until the page shows a live picture. */
export const isLive = (page: Page): Promise<unknown> =>
  page.waitForSelector('.viewer[data-state=live] canvas', { timeout: 30_000 });

type Picture = { width: number; height: number; hash: string };

/** Reads the pixels of the page's screen. */
const picture = (page: Page): Promise<Picture> =>
  page.evaluate(async () => {
    const canvas = document.querySelector<HTMLCanvasElement>('.stage canvas');
    if (!canvas) throw new Error('the page has no screen');
    const { width, height } = canvas;
    const pixels = canvas.getContext('2d')?.getImageData(0, 0, width, height).data ?? new Uint8ClampedArray();
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', pixels)).toHex();
    return { width, height, hash };
  });

/** Waits until all pages show the same picture. @returns the picture */
export const samePicture = (pages: Page[], but?: string): Promise<Picture> =>
  waitFor(
    'the same picture in every browser',
    async () => {
      const [first, ...others] = await Promise.all(pages.map(picture));
      const same = first && others.every(({ hash }) => hash === first.hash);
      return same && first.hash !== but ? first : undefined;
    },
    30_000,
  );

/** Types into the desktop's terminal, which is left of the centre. */
export async function type(page: Page, text: string): Promise<void> {
  const box = await page.locator('.stage canvas').boundingBox();
  if (!box) throw new Error('the page has no screen');
  await page.mouse.click(box.x + box.width * 0.35, box.y + box.height * 0.45);
  await page.keyboard.type(text, { delay: 15 });
  await page.keyboard.press('Enter');
}
