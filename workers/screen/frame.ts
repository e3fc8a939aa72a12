import { FRAME_HEAD_BYTES, type FrameHead, writeFrameHead } from '@warmwind/shared/screen';
import { RECT_HEAD_BYTES, type Rect } from './rfb/update.ts';

/** Message type, padding and count of a FramebufferUpdate. */
const UPDATE_HEAD_BYTES = 4;

/** A frame whose bytes are one FramebufferUpdate of these rectangles: at most 65,535. */
export function packRects(head: FrameHead, rects: Iterable<Rect>): Buffer {
  const parts: Buffer[] = [Buffer.alloc(FRAME_HEAD_BYTES + UPDATE_HEAD_BYTES)];
  let count = 0;
  for (const { x, y, w, h, encoding, data } of rects) {
    const rect = Buffer.allocUnsafe(RECT_HEAD_BYTES);
    rect.writeUInt16BE(x, 0);
    rect.writeUInt16BE(y, 2);
    rect.writeUInt16BE(w, 4);
    rect.writeUInt16BE(h, 6);
    rect.writeInt32BE(encoding, 8);
    parts.push(rect, data);
    count++;
  }
  const frame = Buffer.concat(parts);
  writeFrameHead(head, frame);
  frame.writeUInt16BE(count, FRAME_HEAD_BYTES + 2);
  return frame;
}

/** A frame whose bytes are text: the clipboard, or why the stream ended. */
export function packText(head: FrameHead, text: string): Buffer {
  const frame = Buffer.concat([Buffer.alloc(FRAME_HEAD_BYTES), Buffer.from(text, 'utf8')]);
  writeFrameHead(head, frame);
  return frame;
}
