import { readContainer } from '@warmwind/shared/engine/ledger/reads';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, type Worker, waitForEvents } from '../testing/fleet.ts';
import { type Derived, deriveImage, ORIGINAL } from '../testing/image.ts';
import { LABELS } from './spec.ts';

let fleet: Fleet;
let worker: Worker;
beforeAll(async () => {
  fleet = await createFleet();
  worker = await fleet.worker('a');
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

async function derived(from: Derived): Promise<string> {
  const { image, remove } = await deriveImage(fleet, from);
  onTestFinished(remove);
  return image;
}

const failsWith: [string, Derived, string, object][] = [
  [
    'has a wrong entry point',
    { entryPoint: ['/usr/local/bin/desktpo'] },
    'image_invalid',
    { exitCode: 127, oomKilled: false, output: expect.stringContaining('/usr/local/bin/desktpo') },
  ],
  [
    'runs out of memory',
    { desktop: 'echo filling; exec perl -e \'$x = "a" x (400 << 20); sleep 60\'' },
    'desktop_out_of_memory',
    { exitCode: 137, oomKilled: true, output: 'filling\n' },
  ],
];

test.each(failsWith)(
  'a desktop that %s fails at once, and its owner reads why',
  async (_, from, code, exit) => {
    const start = await fleet.startDesktop({ image: await derived(from) });
    expect(await reached(fleet, start, 'failed')).toMatchObject({ attemptsMade: 1, error: { code } });
    expect(await fleet.container(start)).toMatchObject({ state: 'failed', exit });
    const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.failed');
    expect(room.at(-1)?.data).toMatchObject({ error: { code }, exit });
    expect(await fleet.containers()).toEqual([]);
    expect(await fleet.volumes()).toEqual([]);
  },
);

test('the output of a desktop that ended while it ran is bounded, clean, without its environment, and in the ledger', async () => {
  const image = await derived({
    desktop: `printf 'a\\033[31mred\\033[0m\\033]0;title\\007\\000b\\303('; seq 1 20000; echo "Error: $SECRET_VALUE is wrong"; exec ${ORIGINAL}`,
  });
  const start = await fleet.startDesktop({ image, env: { SECRET_VALUE: 'correct horse battery' } });
  await reached(fleet, start, 'completed');
  const desktop = fleet.docker.getContainer(await fleet.instance(start));
  const ended = desktop.wait();
  const kill = await desktop.exec({ Cmd: ['pkill', '-KILL', '-x', 'Xvnc'], User: await uidOf(start) });
  await kill.start({ Detach: true });
  await ended;
  await worker.sweep();
  const { exit, state } = (await fleet.container(start)) ?? {};
  expect(state).toBe('failed');
  expect(exit).toMatchObject({ exitCode: 137, oomKilled: false });
  const output = exit?.output ?? '';
  expect(output).toContain('\n20000\nError: *** is wrong\n');
  expect(output).toContain('VNC extension running');
  expect(Buffer.byteLength(output)).toBeLessThanOrEqual(16 * 1024);
  expect(output).not.toMatch(/[^\P{Cc}\n\t]/u);
  const read = () => fleet.ledger.run((db) => readContainer(db, start.userId, start.containerId));
  const rowExit = async () => (await read())?.exit;
  expect(await waitFor('the exit in the ledger', rowExit)).toEqual(exit);
  const room = await waitForEvents(fleet, start, `container:${start.containerId}`, 'container.failed');
  const event = room.at(-1)?.data as { exit: { output: string } };
  expect(output.endsWith(event.exit.output)).toBe(true);
  expect(Buffer.byteLength(event.exit.output)).toBeLessThanOrEqual(2048);
  expect(await fleet.containers()).toEqual([]);
});

async function uidOf(start: Awaited<ReturnType<Fleet['startDesktop']>>): Promise<string> {
  const { Config } = await fleet.docker.getContainer(await fleet.instance(start)).inspect();
  const uid = Config.Labels[LABELS.uid];
  return `${uid}:${uid}`;
}
