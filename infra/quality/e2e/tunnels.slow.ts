import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { BrowserDesktop, SCREEN } from './browser-desktop.ts';

/** The viewer takes the number of a display, which is that of a port from this one on. */
const FIRST_DISPLAY_PORT = 5900;
/** JPEG changes each channel of a pixel by a few of its 256 levels. */
const TOLERANCE = 24;

let inside: BrowserDesktop;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ww-tunnels-'));
  inside = await BrowserDesktop.start();
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await inside?.stop();
  await rm(folder, { recursive: true, force: true });
}, 90_000);

const pixelsOf = (image: string | Uint8Array) =>
  sharp(image).removeAlpha().raw().toBuffer({ resolveWithObject: true });

/** @returns the share of pixels of which each channel is about the same */
function sameShare(one: Buffer, other: Buffer): number {
  let same = 0;
  for (let at = 0; at < one.length; at += 3) {
    const differs = [0, 1, 2].some(
      (channel) => Math.abs((one[at + channel] ?? 0) - (other[at + channel] ?? 0)) > TOLERANCE,
    );
    if (!differs) same += 1;
  }
  return same / (one.length / 3);
}

test('a stock VNC viewer shows the screen through a loopback port', async () => {
  const terminal = 'xterm -geometry 60x12+700+500 -bg "#204060" -e sh -c "seq 400; cat"';
  await inside.desktop.spawn(['sh', '-c', terminal]);
  await waitFor('the terminal', async () => {
    const { bytes } = await inside.desktop.screenshot({ region: { x: 1100, y: 620, width: 1, height: 1 } });
    return (await pixelsOf(bytes)).data.readUIntBE(0, 3) === 0x204060;
  });
  const { port } = await inside.tunnel('vnc');
  const file = join(folder, 'viewer.jpeg');
  // With the encodings of its choice this viewer never ends at a TigerVNC server, also without a tunnel.
  const options = ['-quiet', '-encodings', 'raw', '-quality', '100'];
  await promisify(execFile)('vncsnapshot', [...options, `127.0.0.1:${port - FIRST_DISPLAY_PORT}`, file], {
    timeout: 30_000,
  });
  const viewer = await pixelsOf(file);
  const api = await pixelsOf((await inside.desktop.screenshot({ cursor: true })).bytes);
  expect(viewer.info).toMatchObject(SCREEN);
  expect(api.info).toMatchObject(SCREEN);
  expect(viewer.data.length).toBe(api.data.length);
  expect(sameShare(viewer.data, api.data)).toBeGreaterThan(0.99);
});

const FORM = `<title>A form</title>
<form onsubmit="document.title = new URLSearchParams(new FormData(this)); return false">
<label>Name <input name="name"></label><label><input type="checkbox" name="agreed" value="yes">Agreed</label>
<select name="colour" aria-label="Colour"><option>red<option>blue</select><button>Send</button></form>`;

test('Playwright fills a form in the Chromium of a desktop through its DevTools port', async () => {
  const browser = await inside.openChromium();
  const page = await (browser.contexts()[0] ?? (await browser.newContext())).newPage();
  await page.goto(`data:text/html,${encodeURIComponent(FORM)}`);
  expect(await page.title()).toBe('A form');
  await page.getByLabel('Name').fill('Zoë 👋');
  await page.getByLabel('Agreed').check();
  await page.getByLabel('Colour').selectOption('blue');
  expect(await page.getByLabel('Name').inputValue()).toBe('Zoë 👋');
  await page.getByRole('button', { name: 'Send' }).click();
  const sent = Object.fromEntries(new URLSearchParams(await page.title()));
  expect(sent).toEqual({ name: 'Zoë 👋', agreed: 'yes', colour: 'blue' });
  // The browser is that of the desktop.
  expect(await inside.run('pgrep -fc remote-debugging-port=9222')).not.toBe('0\n');
  const picture = await page.screenshot();
  expect((await sharp(picture).metadata()).width).toBeGreaterThan(SCREEN.width / 2);
});
