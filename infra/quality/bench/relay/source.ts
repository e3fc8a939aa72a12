import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  FRAME_HEAD_BYTES,
  type FrameKind,
  screenKeys,
  writeFrameHead,
} from '@warmwind/shared/contract/screen';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import { Redis } from 'ioredis';
import type { ClientOptions } from './client.ts';
import { clock } from './client.ts';
import { startStores, USER } from './stores.ts';

/** Bytes of a keyframe, as of a typical desktop at rest. */
const KEY_BYTES = 150_000;

/** Starts Redis with running desktops, their host and running jobs, as relays see them. */
export async function startSource(desktops = 1) {
  const stores = await startStores();
  const { realtime } = stores;
  const ears = new Redis(realtime.url);

  const shown = [{ containerId: stores.containerId, jobId: stores.jobId, seq: 0 }];
  while (shown.length < desktops) shown.push({ ...(await stores.addDesktop()), seq: 0 });
  type Shown = (typeof shown)[number];
  /** The desktop with this number, modulo their count. */
  const at = (n: number, of = shown) => of[n % of.length] as Shown;

  const publish = ({ containerId, seq }: Shown, kind: FrameKind, bytes: number) => {
    const message = Buffer.alloc(FRAME_HEAD_BYTES + bytes, 7);
    writeFrameHead({ kind, epoch: 1, seq, width: 1280, height: 720 }, message);
    message.writeBigUInt64LE(clock(), FRAME_HEAD_BYTES);
    return realtime.client.spublish(screenKeys.down(containerId), message);
  };
  const hosts = new Map(shown.map((desktop) => [screenKeys.up(desktop.containerId), desktop]));
  ears.on('smessage', (channel: string, message: string) => {
    const desktop = hosts.get(channel);
    if (desktop && JSON.parse(message).t === 'key') publish(desktop, 'key', KEY_BYTES);
  });
  for (const channel of hosts.keys()) await ears.ssubscribe(channel);

  /** Calls `step` at an even rate with a random offset, for `seconds`; late calls are caught up. */
  const pace = async (perSecond: number, seconds: number, step: (n: number) => Promise<unknown>) => {
    const began = performance.now() + (Math.random() * 1000) / perSecond;
    const steps: Promise<unknown>[] = [];
    while (steps.length < perSecond * seconds) {
      const early = (steps.length / perSecond) * 1000 - (performance.now() - began);
      if (early > 0) await sleep(early);
      steps.push(step(steps.length));
    }
    await Promise.all(steps);
  };

  return {
    env: stores.env,
    realtime,
    /** The channel of a desktop's frames. */
    channel: (n: number) => screenKeys.down(at(n).containerId),
    /** Makes a client's request for a desktop's screen or its job's events. */
    ask: async (what: 'screen' | 'job', n = 0): Promise<ClientOptions['ask']> => {
      const token = await stores.ticket();
      const { containerId, jobId } = at(n);
      return what === 'screen'
        ? { token, event: 'vnc:watch', argument: { containerId } }
        : { token, event: 'subscribe', argument: { room: `job:${jobId}` } };
    },
    /** Publishes frames of each of these desktops (default: all), which take turns. */
    frames: (bytes: number, fps: number, seconds: number, on = [...shown.keys()]) => {
      const some = on.map((n) => at(n));
      return pace(fps * some.length, seconds, (n) => {
        const desktop = at(n, some);
        desktop.seq += 1;
        return publish(desktop, 'delta', bytes);
      });
    },
    /** Publishes events of the jobs of these desktops in the same way. */
    events: (perSecond: number, seconds: number, on = [...shown.keys()]) => {
      const some = on.map((n) => at(n));
      return pace(perSecond * some.length, seconds, (n) => {
        const { jobId } = at(n, some);
        const kind = 'container.start' as const;
        const data = { jobId, kind, percent: 50, sentAt: `${clock()}` };
        return appendEvents(realtime.client, { userId: USER, room: `job:${jobId}` }, [
          {
            token: randomUUID(),
            event: {
              type: 'job.progress',
              run: 1,
              time: new Date().toISOString(),
              data,
            },
          },
        ]);
      });
    },
    stop: async () => {
      ears.disconnect();
      await stores.stop();
    },
  };
}
