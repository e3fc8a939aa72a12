import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, killed, reached } from '../testing/fleet.ts';
import { deriveImage } from '../testing/image.ts';

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

test('a desktop that ended while no worker ran is diagnosed by the next one', async () => {
  const first = fleet.process('a');
  const start = await fleet.startDesktop();
  await reached(fleet, start, 'completed', 30_000);
  await killed(first);
  const desktop = fleet.docker.getContainer(await fleet.instance(start));
  await desktop.kill({ signal: 'SIGKILL' });
  await fleet.worker('a');
  const failed = await waitFor(
    'its end',
    async () => {
      const now = await fleet.container(start);
      return now?.state === 'failed' ? now : undefined;
    },
    30_000,
  );
  const output = expect.stringContaining('VNC extension running');
  expect(failed.exit).toEqual({ exitCode: 137, oomKilled: false, output });
  await waitFor('its removal', async () => (await fleet.containers()).length === 0);
}, 90_000);

test.each([
  ['crashes', 'desktop_exited', 'echo "no display" >&2; exit 3', { exitCode: 3, output: 'no display\n' }],
  ['is silent', 'desktop_silent', 'echo waiting; sleep 600', { output: 'waiting\n' }],
  [
    'floods its output',
    'desktop_silent',
    'yes flood & sleep 600',
    { output: expect.stringMatching(/flood\n\[supervisor: \d+ bytes left out\]\nflood\n/) },
  ],
])(
  'a desktop that %s at each attempt fails, and its owner reads its last output',
  async (_, code, desktop, exit) => {
    const { image, remove } = await deriveImage(fleet, { desktop });
    onTestFinished(remove);
    const start = await fleet.startDesktop({ image });
    const { error } = await reached(fleet, start, 'failed', 120_000);
    expect(error).toMatchObject({ code, message: expect.stringContaining('`exit`') });
    expect((await fleet.container(start))?.exit).toEqual({ oomKilled: false, ...exit });
    expect(await fleet.containers()).toEqual([]);
  },
  150_000,
);
