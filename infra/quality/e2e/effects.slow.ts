import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { BrowserDesktop } from './browser-desktop.ts';

/** Of lists and of menus in the file manager, and of the terminal that every desktop starts with. */
const COLORS = { list: 0xfffaf3, menu: 0xf1e6da, terminal: 0x211a21 };

let inside: BrowserDesktop;

beforeAll(async () => {
  inside = await BrowserDesktop.start();
  // It comes to the front when it starts.
  await shows({ x: 400, y: 400, color: COLORS.terminal });
}, ENGINE_WITHIN_MS);
afterAll(() => inside?.stop(), 90_000);

/** Waits until a pixel of the screen has a color. */
async function shows({ x, y, color }: { x: number; y: number; color: number }): Promise<void> {
  await waitFor(`${color.toString(16)} at ${x}, ${y}`, async () => {
    const { bytes } = await inside.desktop.screenshot({ region: { x, y, width: 1, height: 1 } });
    return (await sharp(bytes).removeAlpha().raw().toBuffer()).readUIntBE(0, 3) === color;
  });
}

const names = async (folder: string): Promise<string[]> =>
  (await inside.desktop.files.list(folder)).map(({ name }) => name);

test('a file that is dragged from one folder to another in the file manager has moved', async () => {
  const { desktop } = inside;
  await desktop.files.write('from/report.txt', 'content');
  await desktop.files.write('from/other.txt', 'stays');
  await inside.run('mkdir -p to');
  await desktop.spawn(['xfe', '-p', '2', '/home/user/from', '/home/user/to']);
  await shows({ x: 300, y: 400, color: COLORS.list });
  await desktop.key('alt+F10');
  await shows({ x: 1200, y: 600, color: COLORS.list });
  // The rows of the left list are the folder above, other.txt and report.txt. The drop opens a menu.
  await desktop.drag([
    { x: 60, y: 218 },
    { x: 1000, y: 400 },
  ]);
  await shows({ x: 1090, y: 483, color: COLORS.menu });
  expect([await names('from'), await names('to')]).toEqual([['other.txt', 'report.txt'], []]);
  await desktop.click(1055, 435);
  await waitFor('the move', async () => (await names('to')).includes('report.txt'));
  await waitFor('its end', async () => (await names('from')).length === 1);
  expect([await names('from'), await names('to')]).toEqual([['other.txt'], ['report.txt']]);
  expect(Buffer.from(await desktop.files.read('to/report.txt')).toString()).toBe('content');
});

/** Longer than the time between two clicks of a double click, and than a blink. */
const LONG = { quietMs: 600, maxMs: 3000 };

/** Where the terminal below has nothing. */
const DEAD = { x: 1000, y: 500 };

/** Opens a terminal that fills the screen, with its cursor in the upper left corner, and gives it the focus. */
async function openTerminal(color: number, ...options: string[]): Promise<void> {
  const background = `#${color.toString(16)}`;
  await inside.desktop.spawn(['xterm', '-fullscreen', ...options, '-bg', background, '-e', 'cat']);
  await shows({ ...DEAD, color });
  await inside.desktop.click(DEAD.x, DEAD.y, { settle: LONG });
}

test('a click on a dead pixel reports that nothing has changed', async () => {
  await openTerminal(0x304050);
  // The left button begins a selection, for which the terminal repaints its cursor.
  const outcome = await inside.desktop.click(DEAD.x, DEAD.y, { button: 'right' });
  expect(outcome).toMatchObject({ ok: true, changed: false, settled: 'quiet', cursor: DEAD });
  expect(outcome.damage).toBeUndefined();
});

test('beside a blinking cursor it reports a change, and the place is that of the cursor', async () => {
  await openTerminal(0x503040, '-bc', '-bcn', '150', '-bcf', '150');
  const { damage } = await waitFor('a blink after a click', async () => {
    const outcome = await inside.desktop.click(DEAD.x, DEAD.y, { button: 'right', settle: LONG });
    return outcome.changed && outcome;
  });
  const { x, y, width, height } = damage ?? { x: 0, y: 0, width: 9999, height: 9999 };
  expect([x + width < 100, y + height < 100]).toEqual([true, true]);
});
