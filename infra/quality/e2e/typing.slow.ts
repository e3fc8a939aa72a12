import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestAgent } from '../../../workers/actions/testing/agent.ts';
import { createFleet, type Fleet, reached } from '../../../workers/testing/fleet.ts';
import { ENGINE_WITHIN_MS } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { TEXTS } from './texts.ts';

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

test('an editor saves what was typed', async () => {
  const text = Object.values(TEXTS).join('\n');
  await agent.inside('touch /tmp/edited; chmod 666 /tmp/edited');
  await agent.launch('xfw /tmp/edited');
  await waitFor('its window', async () => {
    await agent.act([
      { type: 'click', x: 400, y: 300 },
      { type: 'key', keys: 'x' },
      { type: 'key', keys: 'ctrl+s' },
    ]);
    return (await agent.inside('cat /tmp/edited')).includes('x');
  });
  const erase = ['ctrl+a', 'Delete'].map((keys) => ({ type: 'key', keys }) as const);
  await agent.act(erase, { settle: { quietMs: 300, maxMs: 5000 } });
  await type(text);
  await agent.act([{ type: 'key', keys: 'ctrl+s' }], { settle: { quietMs: 200, maxMs: 5000 } });
  const saved = () => agent.inside('cat /tmp/edited');
  await waitFor('the file', async () => [...(await saved())].length >= [...text].length);
  expect(await saved()).toBe(text);
});

test('sentences of many languages, twice on one desktop, reach a terminal', async () => {
  const typed = await terminal('languages');
  let all = '';
  for (const text of [...Object.values(TEXTS), ...Object.values(TEXTS)]) {
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
    Array.from({ length: 5000 }, (_, n) => String.fromCodePoint(0x4e00 + ((n * 37) % 3000))).join(''),
  ],
])('thousands of characters of %s reach a terminal by one call', async (name, text) => {
  const typed = await terminal(`many-${name.replace(' ', '-')}`);
  const begun = performance.now();
  await type(text);
  const ms = performance.now() - begun;
  await waitFor('the last character', async () => [...(await typed())].length >= text.length, 30_000);
  expect(await typed()).toBe(text);
  console.info(`${name}: ${Math.round((1000 * text.length) / ms)} characters a second`);
});

test('line breaks and tabs are Return and Tab', async () => {
  const typed = await terminal('breaks');
  await type('a\n\tb\r\n\u00e9.'.replace('\r\n', '\n'));
  await waitFor('the end', async () => (await typed()).endsWith('.'));
  expect(await typed()).toBe('a\r\tb\ré.');
});
