import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached } from '../testing/fleet.ts';
import { RecordingTerminal, TestAgent } from './testing/agent.ts';

let fleet: Fleet;
let agent: TestAgent;

beforeAll(async () => {
  fleet = await createFleet();
  await fleet.worker('a');
  const desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  agent = await TestAgent.of(fleet, desktop);
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await agent?.close();
  await fleet?.stop();
});

test('a double click selects a word and a triple click a line, as the terminal sees them', async () => {
  await waitFor('the terminal', async () => (await agent.pixel(400, 400)) === 0x211a21);
  await agent.launch(`xterm -b 0 -geometry 40x5+0+0 -bg '#303030' -e sh -c 'echo first second; cat'`);
  await waitFor('its window', async () => (await agent.pixel(100, 60)) === 0x303030);
  // The words are in the first row, below the title.
  const { results } = await agent.act([{ type: 'click', x: 20, y: 35, count: 2 }], { settle: {} });
  expect(results).toMatchObject([{ ok: true, changed: true }]);
  const selection = () => agent.inside('xclip -o -selection clipboard');
  await waitFor('the word', async () => (await selection()) === 'first');
  await agent.act([{ type: 'click', x: 20, y: 35, count: 3 }], { settle: {} });
  await waitFor('the line', async () => (await selection()).startsWith('first second'));
});

test('chords, repeated and held keys arrive as keys with their modifiers', async () => {
  const terminal = await RecordingTerminal.open(agent, 'keys');
  // Every key with a modifier is reported as `27;<modifiers + 1>;<character>~`.
  await agent.act([
    { type: 'key', keys: 'ctrl+a' },
    { type: 'key', keys: 'x', count: 3 },
    { type: 'key', keys: 'shift+Tab' },
    { type: 'key', keys: 'alt+Left' },
    { type: 'key', keys: ['CTRL', 'SHIFT', 'F5'] },
    { type: 'key_down', keys: 'shift' },
    { type: 'key', keys: 'q' },
    { type: 'key_up', keys: 'shift' },
    { type: 'key', keys: 'ctrl++' },
    { type: 'type', text: 'end' },
  ]);
  const text = await terminal.receives(/end$/);
  expect(text).toMatch(/^\^Axxx\^\[\[Z\^\[\[1;3D\^\[\[15;6~Q/);
  expect(text).toMatch(/\+?end$/);
});
