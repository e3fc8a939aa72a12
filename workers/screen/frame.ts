import { FRAME_HEAD_BYTES, type FrameHead, writeFrameHead } from '@warmwind/shared/contract/screen';
import { RECT_HEAD_BYTES, type Rect } from './rfb/update.ts';

/** Message type, padding and count of a FramebufferUpdate. */
const UPDATE_HEAD_BYTES = 4;

/** Packs a frame that holds one FramebufferUpdate. @param rects at most 65,535 */
export function packRects(head: FrameHead, rects: readonly Rect[]): Buffer {
  let at = FRAME_HEAD_BYTES + UPDATE_HEAD_BYTES;
  const frame = Buffer.allocUnsafe(rects.reduce((sum, { data }) => sum + RECT_HEAD_BYTES + data.length, at));
  writeFrameHead(head, frame);
  frame.writeUInt16BE(0, FRAME_HEAD_BYTES);
  frame.writeUInt16BE(rects.length, FRAME_HEAD_BYTES + 2);
  for (const { x, y, w, h, encoding, data } of rects) {
    frame.writeUInt16BE(x, at);
    frame.writeUInt16BE(y, at + 2);
    frame.writeUInt16BE(w, at + 4);
    frame.writeUInt16BE(h, at + 6);
    frame.writeInt32BE(encoding, at + 8);
    frame.set(data, at + RECT_HEAD_BYTES);
    at += RECT_HEAD_BYTES + data.length;
  }
  return frame;
}

/** Packs a frame that holds text: the clipboard, or the reason for the end of the stream. */
export function packText(head: FrameHead, text: string): Buffer {
  const frame = Buffer.concat([Buffer.alloc(FRAME_HEAD_BYTES), Buffer.from(text, 'utf8')]);
  writeFrameHead(head, frame);
  return frame;
}
