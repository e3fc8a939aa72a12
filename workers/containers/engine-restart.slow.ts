import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../../infra/quality/testing/docker.ts';
import { type OwnEngine, startOwnEngine } from '../../infra/quality/testing/own-engine.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, reached, type Worker, waitForEvents } from '../testing/fleet.ts';
import type { Submitted } from '../testing/submissions.ts';

/** A restart of dockerd with desktops may take as long. */
const WITHIN_MS = 120_000;

let fleet: Fleet;
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterAll(() => fleet?.stop());

/** Runs `work` with a worker on a dockerd of its own that has the desktop image. */
async function withEngine(
  host: string,
  liveRestore: boolean,
  work: (engine: OwnEngine, worker: Worker) => Promise<void>,
): Promise<void> {
  const machine = await startEngine();
  const engine = await startOwnEngine({ liveRestore });
  try {
    await engine.load(machine.docker, machine.image);
    const worker = await fleet.worker(host, { DOCKER_SOCKET: engine.socket });
    await work(engine, worker);
    await worker.stop();
  } finally {
    await engine.restart('SIGTERM', 0);
    await engine.stop();
  }
}

const start = async (): Promise<Submitted> => {
  const desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  return desktop;
};
const stateOf = async (desktop: Submitted) => (await fleet.container(desktop))?.state;
const swept = (worker: Worker, desktop: Submitted, state: string) =>
  waitFor(`the desktop to be ${state}`, async () => {
    await worker.sweep().catch(() => undefined);
    return (await stateOf(desktop)) === state;
  });

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'after a restart of the engine by %s its desktops are lost with that reason, running and paused ones',
  async (signal) => {
    await withEngine(`own-${signal.toLowerCase()}`, false, async (engine, worker) => {
      const [running, paused] = [await start(), await start()];
      await reached(fleet, await fleet.pauseDesktop(paused), 'completed');
      await engine.restart(signal, 500);
      for (const desktop of [running, paused]) {
        await swept(worker, desktop, 'lost');
        expect(await fleet.container(desktop)).toMatchObject({ endReason: 'engine_restarted' });
        const room = `container:${desktop.containerId}`;
        const events = await waitForEvents(fleet, desktop, room, 'container.lost');
        expect(events.at(-1)).toMatchObject({
          type: 'container.lost',
          data: { reason: 'engine_restarted' },
        });
      }
      expect(await engine.docker.listContainers({ all: true })).toEqual([]);
      // One that exits on its own afterwards has failed.
      const later = await start();
      await engine.docker.getContainer(await fleet.instance(later)).kill();
      await swept(worker, later, 'failed');
    });
  },
  WITHIN_MS,
);

test(
  'with live-restore desktops survive a restart of the engine, unless it cuts them off',
  async () => {
    await withEngine('own-live', true, async (engine, worker) => {
      const [running, paused] = [await start(), await start()];
      await reached(fleet, await fleet.pauseDesktop(paused), 'completed');
      await engine.restart('SIGKILL', 500);
      await waitFor('a sweep', () =>
        worker.sweep().then(
          () => true,
          () => false,
        ),
      );
      const { Version } = await engine.docker.version();
      if (Number.parseInt(Version, 10) < 24) {
        // It has unmounted the volumes of their sockets.
        for (const desktop of [running, paused]) {
          await swept(worker, desktop, 'lost');
          expect(await fleet.container(desktop)).toMatchObject({ endReason: 'engine_restarted' });
        }
        expect(await engine.docker.listContainers({ all: true })).toEqual([]);
        return;
      }
      expect([await stateOf(running), await stateOf(paused)]).toEqual(['running', 'paused']);
      await reached(fleet, await fleet.resumeDesktop(paused), 'completed');
      await reached(fleet, await fleet.exec(paused, { cmd: ['true'] }), 'completed');
      await engine.docker.getContainer(await fleet.instance(paused)).kill();
      await swept(worker, paused, 'failed');
      await reached(fleet, await fleet.stopDesktop(running), 'completed');
    });
  },
  WITHIN_MS,
);
