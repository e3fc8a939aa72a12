import { containerScreenshot } from '@warmwind/shared/contract/commands/container-screenshot';
import {
  CONTROL_TTL_MS,
  MAX_CLIPBOARD_CHARS,
  type ScreenInput,
  screenKeys,
} from '@warmwind/shared/contract/screen';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { asDesktop, ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createTestCaller } from '../testing/caller.ts';
import { createFleet, type Fleet, reached, type Worker } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';
import { Canvas, type TestViewer, watch } from '../testing/viewer.ts';
import { readPicture } from './picture.ts';
import { ScreenTurns } from './turns.ts';

let fleet: Fleet;
let worker: Worker;
let desktop: Submitted;
let socketPath: string;
const viewers: TestViewer[] = [];

beforeAll(async () => {
  fleet = await createFleet();
  worker = await fleet.worker('a');
  desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  const { Mounts } = await (await container()).inspect();
  socketPath = `${Mounts.find(({ Destination }) => Destination === '/run/rfb')?.Source}/s`;
}, ENGINE_WITHIN_MS);
const leave = async () => {
  for (const viewer of viewers.splice(0)) await viewer.stop();
};
afterEach(leave);
afterAll(() => fleet?.stop());

const view = async ({ containerId } = desktop): Promise<TestViewer> => {
  const viewer = await watch(fleet.realtime.url, containerId);
  viewers.push(viewer);
  await viewer.send({ t: 'key' });
  return viewer;
};
const container = async () => fleet.docker.getContainer(await fleet.instance(desktop));
const run = async (command: string) => {
  const engine = await container();
  return engine.exec({ ...(await asDesktop(engine)), Cmd: ['sh', '-c', command], AttachStdout: true });
};
const launch = async (command: string): Promise<void> => {
  await (await run(command)).start({ Detach: true });
};
/** Runs a command in the desktop. @returns its output, without the last line break */
const inside = async (command: string): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of await (await run(command)).start({})) chunks.push(Buffer.from(chunk));
  // The engine puts a head of eight bytes before each piece.
  let text = '';
  for (let all = Buffer.concat(chunks); all.length > 8; ) {
    const end = 8 + all.readUInt32BE(4);
    text += all.toString('utf8', 8, end);
    all = all.subarray(end);
  }
  return text.trimEnd();
};
/** Returns the screen that a plain VNC client sees. */
const raw = async (): Promise<Canvas> =>
  Object.assign(new Canvas(), await readPicture(socketPath, new ScreenTurns().join('ada')));
const same = (viewer: TestViewer) =>
  waitFor('the viewer to see the present screen', async () => {
    await viewer.settled();
    return viewer.canvas.hash === (await raw()).hash;
  });
/** The keysym of the left Control key. */
const CONTROL = 0xffe3;
/** The colour of the desktop's panel. */
const PANEL = 0x2a2029;
const pixel = ({ canvas }: TestViewer, x: number, y: number) =>
  canvas.rgb.readUIntBE((y * canvas.width + x) * 3, 3);
/** Writes a line every 30 ms in a terminal of its own. */
const scroll = (lines: number) =>
  launch(
    `xterm -geometry 80x20+20+60 -e sh -c 'for i in $(seq ${lines}); do echo line $i $i $i; sleep 0.03; done; sleep 600'`,
  );
const takeControl = async (viewerId: string, lease: number, ttlMs = CONTROL_TTL_MS) => {
  const control = JSON.stringify({ viewerId, userId: desktop.userId, lease });
  await fleet.realtime.client.set(screenKeys.control(desktop.containerId), control, 'PX', ttlMs);
};
const metric = async (name: string): Promise<number> => {
  const found = await worker.probes.registry.getSingleMetric(name)?.get();
  return (found?.values ?? []).reduce((sum, { value }) => sum + value, 0);
};

test('early and late viewers and a plain VNC client see the same, also after text scrolled', async () => {
  const early = await view();
  await same(early);
  await scroll(60);
  await waitFor('copies', () => (early.canvas.encodings.get(1) ?? 0) > 20);
  const during = await view();
  await waitFor('its keyframe', () => during.seen.keys > 0);
  await same(early);
  const late = await view();
  await same(late);
  await same(during);
  expect([early, during, late].map(({ seen }) => seen.gaps)).toEqual([0, 0, 0]);
  expect(late.canvas.encodings.get(7)).toBeGreaterThan(0);
});

test('only the viewer in control reaches the desktop; all other input is dropped and counted', async () => {
  const viewer = await view();
  await same(viewer);
  const type = async (viewerId: string, lease: number, text: string) => {
    for (const char of text) {
      const keysym = char === '\n' ? 0xff0d : char.charCodeAt(0);
      for (const down of [true, false]) {
        const input: ScreenInput = { t: 'key', keysym, down };
        await viewer.send({ t: 'input', viewerId, lease, input });
      }
    }
  };
  await takeControl('alice', 1);
  await viewer.send({ t: 'control' });
  await launch('xterm -bg "#123456" -geometry 60x10+100+100');
  await waitFor('its window', async () => {
    await viewer.settled();
    return pixel(viewer, 490, 240) === 0x123456;
  });
  const before = await metric('warmwind_screen_input_dropped_total');
  const input: ScreenInput = { t: 'ptr', x: 200, y: 160, mask: 1 };
  await viewer.send({ t: 'input', viewerId: 'alice', lease: 1, input });
  await viewer.send({ t: 'input', viewerId: 'alice', lease: 1, input: { ...input, mask: 0 } });
  await type('mallory', 1, 'a');
  await type('alice', 2, 'b');
  await type('alice', 1, 'echo yes>/tmp/typed\n');
  await waitFor('the command', async () => (await inside('cat /tmp/typed')) === 'yes');
  // Bob holds control before any message reports it: Alice's keys are refused from then on.
  await takeControl('bob', 2);
  await type('bob', 2, 'echo bob>>/tmp/typed\n');
  await type('alice', 1, 'echo alice>>/tmp/typed\n');
  await waitFor('the command', async () => (await inside('cat /tmp/typed')) === 'yes\nbob');
  const dropped = 2 + 2 + 2 * 'echo alice>>/tmp/typed\n'.length;
  expect((await metric('warmwind_screen_input_dropped_total')) - before).toBe(dropped);
  await same(viewer);
});

test('a new size begins a new epoch, and all viewers see the same again', async () => {
  const viewer = await view();
  await same(viewer);
  const epochs = viewer.seen.epochs.length;
  await takeControl('alice', 3);
  await viewer.send({ t: 'input', viewerId: 'alice', lease: 3, input: { t: 'resize', w: 1000, h: 700 } });
  await waitFor('the new size', () => viewer.canvas.width === 1000 && viewer.canvas.height === 700);
  await same(viewer);
  await waitFor(
    'the panel to follow',
    () => pixel(viewer, 2, 698) === PANEL && pixel(viewer, 997, 698) === PANEL,
  );
  const late = await view();
  await same(late);
  expect(viewer.seen.epochs.length).toBe(epochs + 1);
  expect(viewer.seen.epochs.toSorted((a, b) => a - b)).toEqual(viewer.seen.epochs);
  expect(viewer.seen.gaps).toBe(0);
});

test('text of any script passes to and from the desktop’s clipboard', async () => {
  const viewer = await view();
  await same(viewer);
  const text = 'naïve 🌬 wind\nsecond line';
  await takeControl('alice', 4);
  await viewer.send({ t: 'input', viewerId: 'alice', lease: 4, input: { t: 'cut', text } });
  await waitFor('the text', async () => (await inside('timeout 2 xclip -o -selection clipboard')) === text);
  await launch('printf "grüße 你好" | xclip -i -selection clipboard');
  await waitFor('the desktop’s text', () => viewer.seen.clipboards.includes('grüße 你好'));
});

test('a clipboard of the maximum length is published, a longer one is reported as too large', async () => {
  const viewer = await view();
  await same(viewer);
  await launch(`head -c ${MAX_CLIPBOARD_CHARS} /dev/zero | tr '\\0' x | xclip -i -selection clipboard`);
  await waitFor('all of it', () => viewer.seen.clipboards.at(-1)?.length === MAX_CLIPBOARD_CHARS);
  await launch(`head -c ${MAX_CLIPBOARD_CHARS + 1} /dev/zero | tr '\\0' x | xclip -i -selection clipboard`);
  await waitFor('the first report', () => viewer.seen.clipboardsTooLarge === 1);
  await launch(
    `head -c ${3 * MAX_CLIPBOARD_CHARS + 1} /dev/zero | tr '\\0' x | xclip -i -selection clipboard`,
  );
  await waitFor('the second report', () => viewer.seen.clipboardsTooLarge === 2);
});

test.each(['png', 'jpeg'] as const)('a screenshot can be requested as %s', async (format) => {
  const { caller, close } = await createTestCaller(fleet.realtime.url);
  const { type, headers, bytes } = await caller.call({
    userId: desktop.userId,
    containerId: desktop.containerId,
    command: containerScreenshot,
    incarnation: 1,
    credential: 'token:t',
    input: { format, cursor: 'true' },
  });
  expect([type, headers]).toEqual([
    `image/${format}`,
    {
      ETag: expect.stringMatching(/^"[\w-]+"$/),
      'X-Picture-Width': '1000',
      'X-Picture-Height': '700',
      'X-Screen-Width': '1000',
      'X-Screen-Height': '700',
    },
  ]);
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([1000, 700]);
  if (format === 'png') expect(data.equals((await raw()).rgb)).toBe(true);
  await close();
});

test('the stream ends without viewers, and begins again with the next viewer', async () => {
  await same(await view());
  await leave();
  await waitFor('the stream to end', async () => (await metric('warmwind_screen_streams')) === 0);
  await waitFor('its connection to be closed', async () => {
    const sockets = await inside("grep -c '/run/rfb/s$' /proc/net/unix");
    return sockets === '1';
  });
  const viewer = await view();
  await same(viewer);
  expect(await metric('warmwind_screen_streams')).toBe(1);
});

test('viewers continue automatically when another worker process takes over the desktops', async () => {
  const viewer = await view();
  await same(viewer);
  const [epoch = 0] = viewer.seen.epochs.slice(-1);
  await worker.stop();
  worker = await fleet.worker('a');
  await launch('xterm -geometry 40x8+300+300 -e sleep 600');
  await waitFor('a new epoch', () => (viewer.seen.epochs.at(-1) ?? 0) > epoch);
  await same(viewer);
  expect(viewer.seen.gone).toBe('');
});

test('a button and a key that were held down when the worker process ended are released', async () => {
  const viewer = await view();
  await same(viewer);
  await launch(
    `xterm -geometry 60x10+100+100 -e sh -c 'stty raw -echo; printf "\\033[?1000h\\033]11;#654321\\007"; cat > /tmp/mouse'`,
  );
  await waitFor('a terminal that reports the pointer', async () => {
    await viewer.settled();
    return pixel(viewer, 490, 240) === 0x654321;
  });
  await takeControl('alice', 5, 60_000);
  const sendInput = (input: ScreenInput) => viewer.send({ t: 'input', viewerId: 'alice', lease: 5, input });
  await sendInput({ t: 'ptr', x: 300, y: 200, mask: 1 });
  // The release may come with Control: `3`, else `#`.
  const [pressed, released] = [/^\^\[\[M /, /^\^\[\[M .*\^\[\[M[#3]/];
  await waitFor('the press', async () => pressed.test(await inside('cat -v /tmp/mouse')));
  await sendInput({ t: 'key', keysym: CONTROL, down: true });
  await sendInput({ t: 'key', keysym: 0x61, down: true });
  await waitFor('the key', async () => /\^A$/.test(await inside('cat -v /tmp/mouse')));
  const [epoch = 0] = viewer.seen.epochs.slice(-1);
  await worker.stop();
  worker = await fleet.worker('a');
  await waitFor('its release', async () => released.test(await inside('cat -v /tmp/mouse')));
  await waitFor('a new epoch', () => (viewer.seen.epochs.at(-1) ?? 0) > epoch);
  await sendInput({ t: 'key', keysym: 0x62, down: true });
  await waitFor('a key without Control', async () => /[^^]b$/.test(await inside('cat -v /tmp/mouse')));
  expect(await fleet.realtime.client.exists(screenKeys.held(desktop.containerId))).toBe(0);
});

test('a desktop without viewers is stopped after `idleSeconds`, and one with a viewer is not', async () => {
  const { idleSeconds } = { idleSeconds: 10 };
  const idle = await fleet.startDesktop({ idleSeconds });
  const watched = await fleet.startDesktop({ idleSeconds });
  await Promise.all([reached(fleet, idle, 'completed'), reached(fleet, watched, 'completed')]);
  await view(watched);
  await waitFor(
    'its end',
    async () => {
      await worker.sweep();
      return (await fleet.container(idle))?.state === 'stopped';
    },
    25_000,
  );
  expect(await fleet.container(idle)).toMatchObject({ endReason: 'idle' });
  expect(await fleet.container(watched)).toMatchObject({ state: 'running' });
  await reached(fleet, await fleet.stopDesktop(watched), 'completed');
});

test('viewers are notified when the desktop ends', async () => {
  const viewer = await view();
  await same(viewer);
  await reached(fleet, await fleet.stopDesktop(desktop), 'completed');
  await waitFor('the end', () => viewer.seen.gone !== '');
  expect(viewer.seen.gone).toBe('the desktop was stopped');
});
