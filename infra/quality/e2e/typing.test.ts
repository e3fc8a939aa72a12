import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Watcher, watch } from '../../../relay/testing/watcher.ts';
import { type TestNode, World } from '../../../relay/testing/world.ts';
import { createFleet, type Fleet, reached } from '../../../workers/testing/fleet.ts';
import type { Submitted } from '../../../workers/testing/submissions.ts';
import { asDesktop, ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';

let fleet: Fleet;
let world: World;
let node: TestNode;
let desktop: Submitted;
let owner: Watcher;

beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
  desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  world = await World.start(fleet.queueRedis, fleet.realtime);
  node = await world.node();
  const { containerId } = desktop;
  owner = await watch(world, node.url, containerId, { user: desktop.userId, mode: 'control' });
  await owner.socket.timeout(5000).emitWithAck('vnc:control', { containerId, action: 'request' });
  await waitFor('the picture', () => owner.seen.length > 0);
  await waitFor('the first terminal', async () => (await run('pgrep -x bash')) !== '');
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await world?.tidy();
  await fleet?.stop();
});

const container = async () => fleet.docker.getContainer(await fleet.instance(desktop));
const exec = async (command: string) => {
  const engine = await container();
  return engine.exec({ ...(await asDesktop(engine)), Cmd: ['sh', '-c', command], AttachStdout: true });
};
const run = async (command: string): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of await (await exec(command)).start({}))
    chunks.push(Buffer.from(chunk).subarray(8));
  return Buffer.concat(chunks).toString();
};
const send = (input: object) => owner.socket.emit('vnc:input', { containerId: desktop.containerId, input });

/** Opens a terminal whose program writes typed text to a file. @returns a function that reads the file */
async function recorder(name: string): Promise<() => Promise<string>> {
  const program = `stty raw -echo; touch /tmp/${name}.ready; cat >/tmp/${name}`;
  await (await exec(`xterm -geometry 60x3+100+470 -T ${name} -e sh -c '${program}'`)).start({
    Detach: true,
  });
  await waitFor('the program', async () => (await run(`ls /tmp/${name}.ready 2>/dev/null`)) !== '');
  for (const mask of [1, 0]) send({ t: 'ptr', x: 200, y: 525, mask });
  return () => run(`cat /tmp/${name}`);
}

/** The X11 keysym of a letter: its code for Latin-1, otherwise its Unicode code point with a flag. */
const byUnicode = (letter: string): number => {
  const point = letter.codePointAt(0) ?? 0;
  return point < 0x100 ? point : 0x100_0000 + point;
};
const KOI8 = new Map(
  Array.from({ length: 0x60 }, (_, n) => [
    new TextDecoder('koi8-r').decode(Uint8Array.of(0xa0 + n)),
    0x6a0 + n,
  ]),
);
/** The keysym that noVNC sends: Russian letters have older ones. */
const byLegacyKeysym = (letter: string): number => KOI8.get(letter) ?? byUnicode(letter);
function type(text: string, keysymOf = byUnicode): void {
  for (const letter of text) {
    for (const down of [true, false]) send({ t: 'key', keysym: keysymOf(letter), down });
  }
}

const RUSSIAN = 'Съешь же ещё этих мягких французских булок, да выпей чаю. ';
const GREEK = 'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ';
const CHINESE =
  '天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏閏餘成歲律呂調陽雲騰致雨露結為霜金生麗水玉出崑岡';

test('letters of all alphabets arrive in order, twice in a row', async () => {
  const typed = await recorder('letters');
  let text = '';
  for (const part of [RUSSIAN, RUSSIAN, GREEK, 'Ünïcödé ßæø ', CHINESE, ' 😀🎉🚀']) {
    type(part, text === '' ? byLegacyKeysym : byUnicode);
    text += part;
    await waitFor('as many letters', async () => [...(await typed())].length >= [...text].length);
    expect(await typed()).toBe(text);
  }
});

const TEXT = [
  'Zażółć gęślą jaźń. Příliš žluťoučký kůň. Pijamalı hasta yağız şoföre.',
  'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Щастям б’єш жук їх глицю в фон й ґедзь.',
  'דג סקרן שט בים מאוכזב. نص حكيم له سر قاطع.',
  'いろはにほへと 키스의 고유조건은 中文 e\u0301 n\u0303 👩‍👩‍👧‍👦🏳️‍🌈👍🏽',
].join('\n\t');

test('a text is typed once and in order: of many alphabets, right to left, with combining marks and emoji', async () => {
  const typed = await recorder('text');
  send({ t: 'text', text: TEXT });
  send({ t: 'key', keysym: 0x2e, down: true });
  send({ t: 'key', keysym: 0x2e, down: false });
  await waitFor('the full stop', async () => (await typed()).endsWith('👍🏽.'));
  expect(await typed()).toBe(`${TEXT.replaceAll('\n', '\r')}.`);
  expect(owner.dropped).toEqual([]);
});

test('the rest of a text is reported when another viewer takes control, and none of it is typed', async () => {
  const typed = await recorder('rest');
  const { containerId } = desktop;
  const other = await watch(world, node.url, containerId, { user: desktop.userId, mode: 'control' });
  send({ t: 'text', text: '語'.repeat(4000) });
  await waitFor('the first letters', async () => [...(await typed())].length > 10);
  await other.socket.timeout(5000).emitWithAck('vnc:control', { containerId, action: 'take' });
  const lost = () => owner.dropped.filter(({ reason }) => reason === 'not_holder');
  await waitFor('the notice', () => lost().length > 0);
  const arrived = [...(await typed())].length;
  expect(lost().map(({ count }) => count + arrived)).toEqual([4000]);
  other.socket.disconnect();
  await owner.socket.timeout(5000).emitWithAck('vnc:control', { containerId, action: 'take' });
  owner.dropped.length = 0;
});

test('1,000 keys at once arrive, in order', async () => {
  const typed = await recorder('keys');
  const text = Array.from({ length: 1000 }, (_, n) => String.fromCharCode(97 + ((n * n + n) % 26))).join('');
  type(text);
  await waitFor('the last key', async () => (await typed()).length >= text.length);
  expect(await typed()).toBe(text);
  expect(owner.dropped).toEqual([]);
});

test('400 different letters at once arrive, in order', async () => {
  const typed = await recorder('signs');
  const text = Array.from({ length: 400 }, (_, n) => String.fromCodePoint(0x4e00 + n)).join('');
  type(text);
  await waitFor('the last letter', async () => [...(await typed())].length >= 400);
  expect(await typed()).toBe(text);
});

test('press and release at once act as a click', async () => {
  const running = async () => (await run('pgrep -x xfe')) !== '';
  for (let n = 0; n < 5; n++) {
    send({ t: 'ptr', x: 300, y: 300, mask: 0 });
    // The panel's button for files, in a screen of 800 × 600.
    for (const mask of [0, 1, 0]) send({ t: 'ptr', x: 100, y: 582, mask });
    await waitFor('the file manager', running);
    await run('pkill -x xfe');
    await waitFor('its end', async () => !(await running()));
  }
});
