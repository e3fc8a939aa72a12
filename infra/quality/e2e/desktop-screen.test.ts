import { screenshotPath } from '@warmwind/shared/contract/screen';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Watcher, watch } from '../../../relay/testing/watcher.ts';
import { type TestNode, ticket, World } from '../../../relay/testing/world.ts';
import { readPicture } from '../../../workers/screen/picture.ts';
import { ScreenTurns } from '../../../workers/screen/turns.ts';
import { createFleet, type Fleet, reached } from '../../../workers/testing/fleet.ts';
import type { Submitted } from '../../../workers/testing/submissions.ts';
import { Canvas } from '../../../workers/testing/viewer.ts';
import { asDesktop, ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';

let fleet: Fleet;
let world: World;
let nodes: [TestNode, TestNode];
let desktop: Submitted;
let socketPath: string;

beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
  desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  const { Mounts } = await (await container()).inspect();
  socketPath = `${Mounts.find(({ Destination }) => Destination === '/run/rfb')?.Source}/s`;
  world = await World.start(fleet.queueRedis, fleet.realtime);
  nodes = [await world.node(), await world.node()];
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await world?.tidy();
  await fleet?.stop();
});

const container = async () => fleet.docker.getContainer(await fleet.instance(desktop));
const run = async (command: string): Promise<string> => {
  const engine = await container();
  const desktopUser = await asDesktop(engine);
  const exec = await engine.exec({ ...desktopUser, Cmd: ['sh', '-c', command], AttachStdout: true });
  let text = '';
  for await (const chunk of await exec.start({})) text += Buffer.from(chunk).subarray(8).toString();
  return text.trim();
};

/** Opens a stock client of a relay node that draws the frames it receives. */
async function view(node: TestNode, options: Parameters<typeof watch>[3] = {}) {
  const viewer = await watch(world, node.url, desktop.containerId, { user: desktop.userId, ...options });
  const canvas = new Canvas();
  let drawn = 0;
  const draw = async () => {
    for (; drawn < viewer.seen.length; drawn++) {
      const { size, bytes } = viewer.seen[drawn] ?? { bytes: Buffer.alloc(0) };
      if (size && (canvas.width !== size[0] || canvas.height !== size[1])) canvas.resize(...size);
      await canvas.draw(bytes);
    }
    return canvas.hash;
  };
  return { ...viewer, draw };
}
/** Reads the desktop's picture by a plain VNC client. */
const plain = async () =>
  Object.assign(new Canvas(), await readPicture(socketPath, new ScreenTurns().join('ada'))).hash;
const same = (viewer: { draw: () => Promise<string> }) =>
  waitFor('the viewer to show the desktop’s picture', async () => (await viewer.draw()) === (await plain()));

function type({ socket }: Watcher, text: string): void {
  for (const char of text) {
    const keysym = char === '\n' ? 0xff0d : char.charCodeAt(0);
    for (const down of [true, false]) {
      socket.emit('vnc:input', { containerId: desktop.containerId, input: { t: 'key', keysym, down } });
    }
  }
}

test('the owner’s keys reach the desktop, for viewers on every node; a view link’s keys do not', async () => {
  const owner = await view(nodes[0], { mode: 'control' });
  const link = await view(nodes[1], { shared: true });
  await same(owner);
  await same(link);
  const shells = Number(await run('pgrep -c bash'));
  const engine = await container();
  const Cmd = ['xterm', '-geometry', '60x10+100+100'];
  const shell = await engine.exec({ ...(await asDesktop(engine)), Cmd });
  shell.start({ Detach: true });
  await waitFor('a shell', async () => Number(await run('pgrep -c bash')) > shells);
  for (const mask of [1, 0]) {
    const input = { t: 'ptr', x: 200, y: 160, mask };
    owner.socket.emit('vnc:input', { containerId: desktop.containerId, input });
  }
  type(link, 'echo link>/tmp/typed\n');
  type(owner, 'echo owner>>/tmp/typed\n');
  await waitFor('the command', async () => (await run('cat /tmp/typed')) === 'owner');
  const late = await view(nodes[1]);
  for (const viewer of [owner, link, late]) await same(viewer);
  expect(owner.seen.filter(({ kind }) => kind === 'key')).toHaveLength(1);
});

test('a screenshot through the relay shows the screen', async () => {
  const headers = { Authorization: `Bearer ${await ticket(desktop.userId)}` };
  const path = screenshotPath(desktop.containerId, 'png');
  await waitFor('the same picture', async () => {
    const answer = await fetch(nodes[0].url + path, { headers });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/png']);
    const { data, info } = await sharp(Buffer.from(await answer.arrayBuffer()))
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const shot = Object.assign(new Canvas(), { width: info.width, height: info.height, rgb: data });
    return shot.hash === (await plain());
  });
});
