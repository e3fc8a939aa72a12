import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import {
  FRAME_HEAD_BYTES,
  HostDropped,
  readFrameHead,
  screenKeys,
  type ToHost,
} from '@warmwind/shared/contract/screen';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { connectQueueing, disconnect } from '@warmwind/shared/runtime/node/redis';
import sharp from 'sharp';

/** A screen as a viewer sees it, decoded pixel by pixel and with other code than the bridge's. */
export class Canvas {
  width = 0;
  height = 0;
  rgb = Buffer.alloc(0);
  /** The number of rectangles, by encoding. */
  readonly encodings = new Map<number, number>();

  resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.rgb = Buffer.alloc(width * height * 3);
  }

  get hash(): string {
    return createHash('sha256').update(`${this.width}x${this.height}`).update(this.rgb).digest('hex');
  }

  /** Draws a FramebufferUpdate message. */
  async draw(message: Buffer): Promise<void> {
    if (message.readUInt16BE(0) !== 0) throw new Error('not an update');
    let at = 4;
    for (let left = message.readUInt16BE(2); left > 0; left--) {
      const [x, y, w, h] = [0, 2, 4, 6].map((offset) => message.readUInt16BE(at + offset)) as Area;
      const encoding = message.readInt32BE(at + 8);
      this.encodings.set(encoding, (this.encodings.get(encoding) ?? 0) + 1);
      at += 12;
      if (encoding === 1) {
        this.#copy([x, y, w, h], message.readUInt16BE(at), message.readUInt16BE(at + 2));
        at += 4;
      } else if (encoding === 0) {
        const pixels = Buffer.alloc(w * h * 3);
        for (let index = 0; index < w * h; index++) {
          message.copy(pixels, index * 3, at + index * 4, at + index * 4 + 3);
        }
        this.#put([x, y, w, h], pixels);
        at += w * h * 4;
      } else if (encoding === 7) {
        const { pixels, length } = await tight(message.subarray(at), w, h);
        this.#put([x, y, w, h], pixels);
        at += length;
      } else throw new Error(`encoding ${encoding}`);
    }
    if (at !== message.length) throw new Error('bytes are left');
  }

  /** Draws pixels of three bytes, row by row. */
  #put([x, y, w, h]: Area, pixels: Buffer): void {
    if (x + w > this.width || y + h > this.height) throw new Error('outside of the screen');
    for (let row = 0; row < h; row++) {
      pixels.copy(this.rgb, ((y + row) * this.width + x) * 3, row * w * 3, (row + 1) * w * 3);
    }
  }

  #copy([x, y, w, h]: Area, fromX: number, fromY: number): void {
    const pixels = Buffer.alloc(w * h * 3);
    for (let row = 0; row < h; row++) {
      const from = ((fromY + row) * this.width + fromX) * 3;
      this.rgb.copy(pixels, row * w * 3, from, from + w * 3);
    }
    this.#put([x, y, w, h], pixels);
  }
}

type Area = [number, number, number, number];

/** Decodes one Tight rectangle. @throws Error when it depends on an earlier rectangle */
async function tight(data: Buffer, w: number, h: number): Promise<{ pixels: Buffer; length: number }> {
  let at = 0;
  const byte = () => data.readUInt8(at++);
  const length = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const next = byte();
      value |= (shift === 14 ? next : next & 127) << shift;
      if (next < 128 || shift === 14) return value;
    }
  };
  const take = (bytes: number) => {
    at += bytes;
    return data.subarray(at - bytes, at);
  };
  const control = byte();
  const kind = control >> 4;
  if (kind === 8) return { pixels: Buffer.alloc(w * h * 3, take(3)), length: at };
  if (kind === 9) {
    const { data: pixels, info } = await sharp(take(length())).raw().toBuffer({ resolveWithObject: true });
    if (info.width !== w || info.height !== h || info.channels !== 3) throw new Error('another picture');
    return { pixels, length: at };
  }
  const filter = kind & 4 ? byte() : 0;
  const colours = filter === 1 ? byte() + 1 : 0;
  const palette = take(colours * 3);
  const rowBytes = colours === 0 ? w * 3 : colours === 2 ? Math.ceil(w / 8) : w;
  let bytes: Buffer;
  if (rowBytes * h < 12) bytes = take(rowBytes * h);
  else {
    if (!((control >> (kind & 3)) & 1)) throw new Error('it needs an earlier rectangle');
    bytes = inflateSync(take(length()));
  }
  if (bytes.length !== rowBytes * h) throw new Error('another size');
  if (colours === 0) return { pixels: filter === 2 ? gradient(bytes, w, h) : bytes, length: at };
  const pixels = Buffer.alloc(w * h * 3);
  for (let row = 0, to = 0; row < h; row++) {
    for (let column = 0; column < w; column++, to += 3) {
      const one = bytes[row * rowBytes + (colours === 2 ? column >> 3 : column)] ?? 0;
      const from = 3 * (colours === 2 ? (one >> (7 - (column & 7))) & 1 : one);
      pixels[to] = palette[from] ?? 0;
      pixels[to + 1] = palette[from + 1] ?? 0;
      pixels[to + 2] = palette[from + 2] ?? 0;
    }
  }
  return { pixels, length: at };
}

function gradient(bytes: Buffer, w: number, h: number): Buffer {
  const pixels = Buffer.alloc(w * h * 3);
  const value = (x: number, y: number, channel: number) =>
    x < 0 || y < 0 ? 0 : (pixels[(y * w + x) * 3 + channel] ?? 0);
  for (let index = 0; index < pixels.length; index++) {
    const channel = index % 3;
    const x = Math.floor(index / 3) % w;
    const y = Math.floor(index / 3 / w);
    const guess = value(x - 1, y, channel) + value(x, y - 1, channel) - value(x - 1, y - 1, channel);
    pixels[index] = (bytes[index] ?? 0) + Math.min(255, Math.max(0, guess));
  }
  return pixels;
}

/**
 * Subscribes to a screen as a relay node with one viewer does.
 * @param onFrame is called once a frame is drawn, with its time of arrival (ms since 1970)
 * @param draws false: frames are counted and not decoded
 */
export async function watch(
  redisUrl: string,
  containerId: string,
  onFrame: (at: number, canvas: Canvas) => void = () => undefined,
  draws = true,
) {
  const log = createLog('test');
  log.level = 'silent';
  const subscriber = connectQueueing(redisUrl, 'viewer', log);
  const redis = connectQueueing(redisUrl, 'viewer-up', log);
  const canvas = new Canvas();
  const seen = {
    frames: 0,
    keys: 0,
    gaps: 0,
    bytes: 0,
    epochs: [] as number[],
    dropped: [] as HostDropped[],
    clipboards: [] as string[],
    clipboardsTooLarge: 0,
    gone: '',
  };
  let seq: number | undefined;
  let failed: unknown;
  let drawing: Promise<void> = Promise.resolve();

  const onMessage = async (frame: Buffer, at: number) => {
    const head = readFrameHead(frame);
    if (!head) throw new Error('not a frame');
    const { kind, epoch, width, height } = head;
    const body = frame.subarray(FRAME_HEAD_BYTES);
    seen.frames++;
    seen.bytes += frame.length;
    if (!draws) return;
    if (kind === 'cut') return void seen.clipboards.push(body.toString());
    if (kind === 'dropped') return void seen.dropped.push(HostDropped.parse(JSON.parse(body.toString())));
    if (kind === 'cutTooLong') return void seen.clipboardsTooLarge++;
    if (kind === 'gone') {
      seen.gone = body.toString();
      return;
    }
    if (epoch !== seen.epochs.at(-1)) {
      // A viewer that joins in the middle of an epoch begins with a keyframe, too.
      if (kind !== 'key') return;
      seen.epochs.push(epoch);
      seq = undefined;
    }
    if (kind === 'key') {
      seen.keys++;
      if (seq !== undefined && head.seq < seq) throw new Error('a keyframe is older than the last frame');
      if (width !== canvas.width || height !== canvas.height) canvas.resize(width, height);
    } else if (head.seq !== (seq ?? Number.NaN) + 1) {
      seen.gaps++;
      seq = undefined;
      return;
    }
    seq = head.seq;
    await canvas.draw(body);
    onFrame(at, canvas);
  };
  subscriber.on('smessageBuffer', (_channel: Buffer, frame: Buffer) => {
    const at = performance.timeOrigin + performance.now();
    drawing = drawing
      .then(() => onMessage(frame, at))
      .catch((error: unknown) => {
        failed ??= error;
      });
  });
  await subscriber.ssubscribe(screenKeys.down(containerId));
  const send = (message: ToHost) => redis.spublish(screenKeys.up(containerId), JSON.stringify(message));

  return {
    canvas,
    seen,
    send,
    redis,
    /** Resolves when every received frame is drawn; rejects when a frame could not be drawn. */
    settled: async () => {
      await drawing;
      if (failed) throw failed;
    },
    stop: async () => {
      await Promise.all([disconnect(subscriber), disconnect(redis)]);
    },
  };
}

export type TestViewer = Awaited<ReturnType<typeof watch>>;
