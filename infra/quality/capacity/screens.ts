import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { FRAME_HEAD_BYTES, readFrameHead, screenKeys } from '@warmwind/shared/contract/screen';
import { Redis } from 'ioredis';
import { startStores } from '../bench/relay/stores.ts';
import { cpuMs, type Program, startDesktop } from '../bench/screen/desktop.ts';
import { waitFor } from '../testing/wait.ts';

/** The figures of one watched desktop of the default image. */
export type ScreenFigures = {
  /** Frames that its bridge publishes a second, bytes of one, and bytes of a keyframe. */
  fps: number;
  frameBytes: number;
  keyBytes: number;
  /** Processor time of its container and of its bridge, ms a second. */
  desktopMs: number;
  bridgeMs: number;
  /** Memory of its container without the page cache. */
  desktopMb: number;
};

const SECONDS = 10;
const SETTLE_MS = 3000;

/**
 * Measures a desktop's cost for its host and its frames. Starts the engine and builds the image if needed.
 */
export async function measureScreen(program: Program | undefined): Promise<ScreenFigures> {
  const desktop = await startDesktop(program, { marked: false, memoryMb: 512, cpus: 1 });
  const stores = await startStores();
  const viewer = new Redis(stores.realtime.url);
  const script = new URL('../bench/screen/bridge.ts', import.meta.url);
  const bridge = fork(script, [desktop.socketPath, stores.realtime.url, stores.containerId]);
  try {
    await once(bridge, 'message');
    let [frames, bytes, keyBytes] = [0, 0, 0];
    viewer.on('smessageBuffer', (_channel: Buffer, message: Buffer) => {
      const kind = readFrameHead(message)?.kind;
      if (kind === 'key') keyBytes = message.length - FRAME_HEAD_BYTES;
      if (kind !== 'delta') return;
      frames += 1;
      bytes += message.length - FRAME_HEAD_BYTES;
    });
    await viewer.ssubscribe(screenKeys.down(stores.containerId));
    const requestKeyframe = () =>
      stores.realtime.client.spublish(screenKeys.up(stores.containerId), JSON.stringify({ t: 'key' }));
    await requestKeyframe();
    await waitFor('a keyframe', () => keyBytes > 0);
    await sleep(SETTLE_MS);
    const usage = async () => ({
      at: performance.now(),
      bridge: await cpuMs(bridge.pid ?? 0),
      ...(await desktop.usage()),
    });
    [frames, bytes] = [0, 0];
    const before = await usage();
    await sleep(SECONDS * 1000);
    const after = await usage();
    const took = (after.at - before.at) / 1000;
    const seen = { frames, bytes };
    await requestKeyframe();
    await sleep(500);
    return {
      fps: seen.frames / took,
      frameBytes: seen.frames > 0 ? seen.bytes / seen.frames : 0,
      keyBytes,
      desktopMs: (after.cpuMs - before.cpuMs) / took,
      bridgeMs: (after.bridge - before.bridge) / took,
      desktopMb: after.memoryMb,
    };
  } finally {
    viewer.disconnect();
    bridge.disconnect();
    await once(bridge, 'exit');
    await stores.stop();
    await desktop.stop();
  }
}
