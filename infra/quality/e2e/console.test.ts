import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { asDesktop, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { isLive, launch, openConsole, samePicture, type } from './browser.ts';
import { edgeOf } from './client.ts';
import { instanceOf } from './instance.ts';
import { createStack, killPart, type TestStack } from './stack.ts';

let stack: TestStack;
let browser: Browser;
let owner: Page;
let id: string;

beforeAll(async () => {
  stack = createStack();
  [browser] = await Promise.all([launch(), stack.start()]);
}, 330_000);
afterAll(async () => {
  await browser?.close();
  await stack?.remove();
}, 60_000);

/** Opens a share link in another page. */
async function openLink(mode: 'view' | 'control'): Promise<Page> {
  const { url, token } = await edgeOf(stack.file()).createTicket({ containerId: id, mode });
  const output = new URLSearchParams({ watch: id, relay: url, ticket: token });
  const page = await browser.newPage({ viewport: { width: 1000, height: 700 } });
  await page.goto(`${stack.file().edge}/#${output}`);
  await isLive(page);
  return page;
}

/** Reads a file in the desktop's home; '' when it is missing. */
async function file(name: string): Promise<string> {
  const { docker } = await startEngine();
  const container = docker.getContainer(await instanceOf(stack, id));
  const run = await container.exec({
    ...(await asDesktop(container)),
    Cmd: ['sh', '-c', `cat ~/${name} 2>/dev/null`],
    AttachStdout: true,
    Tty: true,
  });
  const stream = await run.start({ Tty: true });
  let output = '';
  for await (const chunk of stream) output += chunk;
  return output.trim();
}
const holds = (name: string, text: string) =>
  waitFor(`${name} in the desktop`, async () => (await file(name)) === text);

test('a desktop started in the console is shown, and its terminal executes typed commands', async () => {
  owner = await openConsole(browser, stack.file());
  await owner.getByLabel('Name').fill('e2e');
  await owner.getByRole('button', { name: 'Start a desktop' }).click();
  await owner.waitForSelector('.card .state.running', { timeout: 30_000 });
  id = (await owner.locator('.card').first().getAttribute('data-desktop')) ?? '';
  await owner.locator('.card .screen').first().click();
  await isLive(owner);
  const address = `${stack.file().edge}/#/desktops/${id}`;
  await owner.reload();
  await isLive(owner);
  await owner.goBack();
  await owner.waitForSelector('.home');
  await owner.goForward();
  await isLive(owner);
  expect(owner.url()).toBe(address);
  const { hash } = await samePicture([owner]);
  await type(owner, 'echo warm > ~/one');
  await holds('one', 'warm');
  expect((await samePicture([owner], hash)).width).toBe(1280);
  await owner.waitForSelector('text=you control');
  await owner.getByRole('button', { name: 'Read the text' }).click();
  await owner.locator('.boxes rect').first().waitFor();
  expect(await owner.locator('.reading pre').textContent()).toContain('warm');
  await owner.getByRole('button', { name: 'Close' }).click();
}, 90_000);

test('a terminal next to the screen runs commands, follows the layout, and continues when it is shown again', async () => {
  const panel = owner.getByRole('region', { name: 'Terminal' });
  const shows = (text: string) => panel.locator('.xterm-rows').filter({ hasText: text }).waitFor();
  const enter = async (text: string) => {
    await owner.locator('section.terminal[data-state=live]').waitFor();
    await panel.locator('.xterm-screen').click();
    await owner.keyboard.type(text);
    await owner.keyboard.press('Enter');
  };
  const columns = async (mark: string): Promise<number> => {
    await enter(`echo ${mark}''=$(tput cols)`);
    await shows(`${mark}=`);
    const text = (await panel.locator('.xterm-rows').textContent()) ?? '';
    return Number(new RegExp(`${mark}=(\\d+)`).exec(text)?.[1]);
  };
  await owner.getByRole('button', { name: 'Terminal' }).click();
  const wide = await columns('wide');
  const [screen, terminal] = await Promise.all([
    owner.locator('.frame').boundingBox(),
    owner.locator('.shell').boundingBox(),
  ]);
  expect(terminal?.x).toBeGreaterThan((screen?.x ?? 0) + (screen?.width ?? 0));
  for (const key of ['Control', 'Alt', 'Shift']) await owner.keyboard.down(key);
  for (const key of ['Shift', 'Alt', 'Control']) await owner.keyboard.up(key);
  const focused = () => owner.evaluate(() => document.activeElement?.textContent);
  expect(await focused()).toBe('Hide');
  await owner.keyboard.press('Enter');
  expect(await focused()).toBe('Terminal');
  await owner.setViewportSize({ width: 390, height: 844 });
  await owner.keyboard.press('Enter');
  await shows('wide=');
  const phone = await owner.locator('.shell').boundingBox();
  expect(phone?.width).toBeLessThan(390);
  expect(phone?.y).toBeGreaterThan((await owner.locator('.frame').boundingBox())?.y ?? 0);
  expect(await columns('narrow')).toBeLessThan(wide);
  await owner.setViewportSize({ width: 1360, height: 860 });
  await enter('exit 5');
  await owner.getByText('ended with code 5').waitFor();
  await owner.getByRole('button', { name: 'Open a terminal' }).click();
  await enter("echo ag''ain");
  await shows('again');
  await panel.getByRole('button', { name: 'End' }).click();
  await panel.waitFor({ state: 'detached' });
}, 90_000);

test('a guest with a link to view sees the same picture and cannot type', async () => {
  const guest = await openLink('view');
  await guest.waitForSelector('text=view only');
  await type(guest, 'echo intruder > ~/two');
  await type(owner, 'echo owner >> ~/three');
  await holds('three', 'owner');
  expect(await file('two')).toBe('');
  await owner.locator('.watchers li', { hasText: /^guest \w{4} by a link to view/ }).waitFor();
  await samePicture([owner, guest]);
}, 90_000);

test('viewers see the same picture after relays and workers died, and an overlay meanwhile', async () => {
  const late = await openLink('view');
  await samePicture([owner, late]);
  await killPart(stack, 'relay-1');
  await killPart(stack, 'relay-2');
  await Promise.all([isLive(owner), isLive(late)]);
  await owner.waitForSelector('text=you control');
  const { host } = await edgeOf(stack.file()).getContainer(id);
  const marked = Promise.all([owner, late].map((page) => page.getByText('host is away').waitFor()));
  await owner.locator('.stage canvas').click();
  await owner.keyboard.down('Control');
  const restarted = killPart(stack, host ?? '');
  await marked;
  await owner.keyboard.up('Control');
  await type(owner, 'echo lost > ~/lost');
  await restarted;
  await Promise.all([isLive(owner), isLive(late)]);
  const { hash } = await samePicture([owner, late]);
  await type(owner, 'echo again > ~/four');
  await holds('four', 'again');
  expect(await file('lost')).toBe('');
  const fresh = await openLink('view');
  await samePicture([owner, late, fresh], hash);
}, 150_000);

test('the desktop takes each new size of its controller’s page, for every viewer', async () => {
  const guest = await openLink('view');
  const stage = owner.locator('.stage');
  // It may have lost control while idle.
  await owner.locator('.stage canvas').click();
  await owner.waitForSelector('text=you control');
  await owner.getByLabel('Scaling').selectOption('resize');
  for (const width of [1500, 1100, 1300]) {
    await owner.setViewportSize({ width, height: 800 });
    await waitFor('the size of the page', async () => {
      const box = await stage.boundingBox();
      return (await samePicture([owner, guest])).width === Math.floor(box?.width ?? 0);
    });
  }
}, 90_000);

test('a stopped desktop is reported to every viewer', async () => {
  const guest = await openLink('control');
  await owner.getByRole('button', { name: 'Stop' }).click();
  await owner.getByRole('button', { name: 'Stop the desktop' }).click();
  await guest.waitForSelector('text=The desktop has been stopped.');
  await owner.waitForSelector('text=The desktop has been stopped.');
}, 60_000);
