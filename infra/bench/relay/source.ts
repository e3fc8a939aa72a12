import { randomUUID } from 'node:crypto';
import { appendEvents } from '@warmwind/shared/node/events';
import { FRAME_HEAD_BYTES, type FrameKind, screenKeys, writeFrameHead } from '@warmwind/shared/screen';
import { Redis } from 'ioredis';
import type { ClientOptions } from './client.ts';
import { clock } from './client.ts';
import { startStores, USER } from './stores.ts';

/** Bytes of a key frame: of a busy desktop at rest, about. */
const KEY_BYTES = 150_000;

/** A running desktop with its host and a job that runs, as relays see them through Redis. */
export async function startSource() {
  const stores = await startStores();
  const { realtime, containerId, jobId } = stores;
  const ears = new Redis(realtime.url);

  let seq = 0;
  const publish = (kind: FrameKind, bytes: number) => {
    const message = Buffer.alloc(FRAME_HEAD_BYTES + bytes, 7);
    writeFrameHead({ kind, epoch: 1, seq, width: 1280, height: 720 }, message);
    message.writeBigUInt64LE(clock(), FRAME_HEAD_BYTES);
    return realtime.client.spublish(screenKeys.down(containerId), message);
  };
  ears.on('smessage', (_channel: string, message: string) => {
    if (JSON.parse(message).t === 'key') publish('key', KEY_BYTES);
  });
  await ears.ssubscribe(screenKeys.up(containerId));

  /** Calls `step` so many times a second, for so long; late ones are made up for. */
  const pace = (perSecond: number, seconds: number, step: (n: number) => Promise<unknown>) =>
    new Promise<void>((resolve, reject) => {
      const began = performance.now();
      let sent = 0;
      const timer = setInterval(() => {
        const due = Math.min(((performance.now() - began) / 1000) * perSecond, perSecond * seconds);
        for (; sent < due; sent++) step(sent).catch(reject);
        if (sent < perSecond * seconds) return;
        clearInterval(timer);
        resolve();
      }, 5);
    });

  return {
    env: stores.env,
    /** What a client asks of a relay, to be sent the desktop's screen or the job's events. */
    ask: async (what: 'screen' | 'job'): Promise<ClientOptions['ask']> => {
      const token = await stores.ticket();
      return what === 'screen'
        ? { token, event: 'vnc:watch', argument: { containerId } }
        : { token, event: 'subscribe', argument: { room: `job:${jobId}` } };
    },
    frames: (bytes: number, fps: number, seconds: number) =>
      pace(fps, seconds, () => {
        seq += 1;
        return publish('delta', bytes);
      }),
    events: (perSecond: number, seconds: number) =>
      pace(perSecond, seconds, () =>
        appendEvents(realtime.client, { userId: USER, room: `job:${jobId}` }, [
          {
            token: randomUUID(),
            event: {
              type: 'job.progress',
              run: 1,
              time: new Date().toISOString(),
              data: { jobId, percent: 50, sentAt: `${clock()}` },
            },
          },
        ]),
      ),
    stop: async () => {
      ears.disconnect();
      await stores.stop();
    },
  };
}
