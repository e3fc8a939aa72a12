// An agent without a model: finds a button by its text, clicks it, types and verifies. Run `npm start`, then
//   node docs/guides/agents/find-and-click.ts
import { readFileSync } from 'node:fs';
import type { ContainerClient } from '../../../shared/client/container.ts';
import { createWarmwind } from '../../../shared/client/warmwind.ts';

const TEXT = 'Hello from an agent without a model';
const ATTEMPTS = 30;

/** Reads the screen until a word is on it. @returns the middle of the word, pixels of the screen */
async function find(desktop: ContainerClient, word: string): Promise<{ x: number; y: number }> {
  let { frame } = await desktop.screenshot();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { boxes } = await desktop.readText();
    const box = boxes.find(({ text }) => text === word);
    if (box) return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const next = await desktop.screenshot({ changedSince: frame, waitMs: 2000 });
    frame = next?.frame ?? frame;
  }
  throw new Error(`${word} did not appear on the screen.`);
}

const { edge, tokens } = JSON.parse(readFileSync(process.env.STACK ?? '.warmwind/stack.json', 'utf8'));
const warmwind = createWarmwind({ url: edge, token: tokens.user });
const desktop = await warmwind.start({ width: 1024, height: 640, ttlSeconds: 600 });
try {
  // Looks until the desktop shows its first window.
  await find(desktop, 'Terminal');

  // A click on the background opens the menu. Finds its button, and clicks it.
  await desktop.click(820, 480, { button: 'right' });
  const button = await find(desktop, 'Editor');
  await desktop.click(button.x, button.y);

  // Types once the editor's window is there.
  await find(desktop, 'untitled');
  const { delivered } = await desktop.type(TEXT);
  console.log(`typed ${delivered} characters`);

  // Verifies on the screen, and what the editor itself has.
  await find(desktop, 'agent');
  await desktop.act([
    { type: 'key', keys: 'ctrl+a' },
    { type: 'key', keys: 'ctrl+c' },
  ]);
  const { stdout } = await desktop.exec(['xclip', '-selection', 'clipboard', '-o']).result;
  if (stdout !== TEXT) throw new Error(`The editor has ${JSON.stringify(stdout)}.`);
  console.log('verified');
} finally {
  await desktop.stop();
}
