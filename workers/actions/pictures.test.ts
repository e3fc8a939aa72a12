import { afterAll, beforeAll, expect, test } from 'vitest';
import { plannedRandom } from '../../infra/quality/testing/random.ts';
import { honest, rect, type ServedDesktop, ServedDesktops } from '../framebuffer/testing/desktops.ts';
import { ENCODING } from '../screen/rfb/messages.ts';

const WIDTH = 1280;
const HEIGHT = 1000;

let desktops: ServedDesktops;
/** Its screen is noise, of which a PNG has more than 4 MB in base64, and two have more than 8 MB. */
let desktop: ServedDesktop;

beforeAll(async () => {
  desktops = await ServedDesktops.start();
  const random = plannedRandom();
  const noise = Buffer.from(
    Uint32Array.from({ length: WIDTH * HEIGHT }, () => random.int(0, 2 ** 32 - 1)).buffer,
  );
  desktop = await desktops.serve({
    width: WIDTH,
    height: HEIGHT,
    ...honest(rect(0, 0, WIDTH, HEIGHT, ENCODING.raw, noise)),
  });
});
afterAll(() => desktops?.stop());

const TOO_LARGE = {
  code: 'payload_too_large',
  message: expect.stringMatching(/8 MB.*carried out.*JPEG, a smaller maxWidth or fewer pictures/),
};

test('the picture with which a call exceeds 8 MB fails its action, and those before are returned', async () => {
  const actions = [
    { type: 'screenshot' } as const,
    { type: 'screenshot' } as const,
    { type: 'move', x: 1, y: 1 } as const,
  ];
  const { results, stoppedAt } = await desktop.act({ actions, screenshot: false });
  expect(results).toMatchObject([
    { ok: true, screenshot: { width: WIDTH, height: HEIGHT } },
    { ok: false, error: TOO_LARGE },
    { skipped: true },
  ]);
  expect(stoppedAt).toBe(1);
});

test('a call whose last picture exceeds 8 MB fails, and succeeds with smaller pictures as its message says', async () => {
  const actions = [{ type: 'screenshot' } as const];
  await expect(desktop.act({ actions, screenshot: {} })).rejects.toMatchObject(TOO_LARGE);
  const smaller = await desktop.act({ actions, screenshot: { format: 'jpeg', maxWidth: 640 } });
  expect(smaller).toMatchObject({ results: [{ ok: true }], screenshot: { width: 640, height: 500 } });
});
