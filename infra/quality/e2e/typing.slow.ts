import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestAgent } from '../../../workers/actions/testing/agent.ts';
import { createFleet, type Fleet, reached } from '../../../workers/testing/fleet.ts';
import { ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';

let fleet: Fleet;
let agent: TestAgent;

beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
  const desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  agent = await TestAgent.of(fleet, desktop);
  await waitFor('the first terminal', async () => (await agent.inside('pgrep -x bash')) !== '');
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await agent?.close();
  await fleet?.stop();
});

const RUSSIAN = [...Array.from({ length: 32 }, (_, n) => String.fromCodePoint(0x430 + n)), 'ё'].join('');
/** One sentence of each language that has many of its letters, and what is hard in others. */
const TEXTS: Record<string, string> = {
  English: 'The quick brown fox jumps over the lazy dog. 0123456789 `~!@#$%^&*()-_=+[]{}\\|;:\'",<.>/?',
  German: 'Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.',
  French: 'Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis. Où ça, à Noël ?',
  Spanish: '¿Benjamín pidió una bebida de kiwi y fresa? ¡Noé, sin vergüenza, la más exquisita champaña!',
  Polish: 'Pchnąć w tę łódź jeża lub ośm skrzyń fig. ŻÓŁĆ',
  Czech: 'Příliš žluťoučký kůň úpěl ďábelské ódy. ŘĎŤŇ',
  Turkish: 'Pijamalı hasta yağız şoföre çabucak güvendi. İĞŞI',
  Russian: 'Съешь же ещё этих мягких французских булок, да выпей чаю.',
  Greek: 'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΐΰς',
  Hebrew: 'דג סקרן שט בים מאוכזב ולפתע מצא חברה.',
  Arabic: 'نصٌّ حكيمٌ لهُ سرٌّ قاطعٌ وَذُو شَأنٍ عظيمٍ.',
  Japanese: 'いろはにほへと ちりぬるを ワカヨタレソ 常ならむ',
  Chinese: '天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏閏餘成歲律呂調陽雲騰致雨露結',
  Korean: '키스의 고유조건은 입술끼리 만나야 하고',
  Marks: 'e\u0301 n\u0303 a\u0308\u0304 q\u0307\u0323',
  Emoji: '👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 1️⃣ 😀🎉🚀',
};

/** Opens a terminal whose program writes what is typed to a file. @returns a function that reads the file */
async function terminal(name: string): Promise<() => Promise<string>> {
  const program = `stty raw -echo; touch /tmp/${name}.ready; cat >/tmp/${name}`;
  await agent.launch(`xterm -geometry 60x3+100+470 -T ${name} -e sh -c '${program}'`);
  await waitFor('the program', async () => (await agent.inside(`ls /tmp/${name}.ready`)) !== '');
  await agent.act([{ type: 'click', x: 200, y: 525 }]);
  return () => agent.inside(`cat /tmp/${name}`);
}

/** Types a text by one call. */
async function type(text: string): Promise<void> {
  const { results } = await agent.act([{ type: 'type', text }]);
  expect(results).toEqual([expect.objectContaining({ ok: true, delivered: [...text].length })]);
}

test('sentences of many languages, twice on one desktop, reach a terminal', async () => {
  const typed = await terminal('languages');
  let all = '';
  for (const text of [
    RUSSIAN,
    RUSSIAN.toUpperCase(),
    ...Object.values(TEXTS),
    RUSSIAN,
    ...Object.values(TEXTS),
  ]) {
    await type(`${text}.`);
    all += `${text}.`;
    const length = [...all].length;
    await waitFor('as many characters', async () => [...(await typed())].length >= length);
    expect(await typed()).toBe(all);
  }
});

test.each([
  ['ASCII', Array.from({ length: 10_000 }, (_, n) => String.fromCharCode(33 + ((n * n + n) % 94))).join('')],
  ['Russian', `${TEXTS.Russian} `.repeat(180).slice(0, 9999).concat('.')],
  [
    'Chinese',
    Array.from({ length: 10_000 }, (_, n) => String.fromCodePoint(0x4e00 + ((n * 37) % 3000))).join(''),
  ],
])('10,000 characters of %s reach a terminal by one call', async (name, text) => {
  const typed = await terminal(`many-${name.replace(' ', '-')}`);
  const begun = performance.now();
  await type(text);
  const ms = performance.now() - begun;
  await waitFor('the last character', async () => [...(await typed())].length >= 10_000, 30_000);
  expect(await typed()).toBe(text);
  console.info(`${name}: ${Math.round(10_000_000 / ms)} characters a second`);
});

test('line breaks and tabs are Return and Tab', async () => {
  const typed = await terminal('breaks');
  await type('a\n\tb\r\n\u00e9.'.replace('\r\n', '\n'));
  await waitFor('the end', async () => (await typed()).endsWith('.'));
  expect(await typed()).toBe('a\r\tb\ré.');
});
