/** Messages to an RFB server: https://github.com/rfbproto/rfbproto */

export const ENCODING = {
  raw: 0,
  copyRect: 1,
  tight: 7,
  desktopSize: -223,
  lastRect: -224,
  cursorWithAlpha: -314,
  cursorPosition: 0x574d_5666,
  extendedDesktopSize: -308,
  extendedClipboard: -1_063_131_698,
} as const;
/** Pseudo-encodings for compression (0-9) and JPEG quality (0-9); without a quality all is lossless. */
const COMPRESSION = -256;
const QUALITY = -32;

const COMPRESSION_LEVEL = 2;
const JPEG_QUALITY = 6;

export type Size = { width: number; height: number };
export type Area = { x: number; y: number; w: number; h: number };

/** 32 bits a pixel: red, green, blue and an unused byte, in this order. */
export function pixelFormat(): Buffer {
  return Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0]);
}

/** The encodings of a stream. None is for a cursor, so the server draws it, and all viewers see it. */
export function streamEncodings(lossy: boolean): Buffer {
  return encodings([
    ENCODING.tight,
    ENCODING.copyRect,
    ENCODING.raw,
    ENCODING.lastRect,
    ENCODING.desktopSize,
    ENCODING.extendedDesktopSize,
    ENCODING.extendedClipboard,
    COMPRESSION + COMPRESSION_LEVEL,
    ...(lossy ? [QUALITY + JPEG_QUALITY] : []),
  ]);
}

/** The encodings of a single picture: plain pixels, cursor included. */
export function pictureEncodings(): Buffer {
  return encodings([ENCODING.raw, ENCODING.lastRect, ENCODING.desktopSize]);
}

/** The encodings of a framebuffer: plain pixels, and the pointer's shape and place apart from them. */
export function framebufferEncodings(): Buffer {
  return encodings([
    ENCODING.raw,
    ENCODING.lastRect,
    ENCODING.desktopSize,
    ENCODING.cursorWithAlpha,
    ENCODING.cursorPosition,
  ]);
}

/** The encodings of a connection that only changes the size. */
export function resizeEncodings(): Buffer {
  return encodings([ENCODING.raw, ENCODING.lastRect, ENCODING.desktopSize, ENCODING.extendedDesktopSize]);
}

function encodings(list: number[]): Buffer {
  const message = Buffer.alloc(4 + 4 * list.length);
  message.writeUInt8(2, 0);
  message.writeUInt16BE(list.length, 2);
  for (const [index, encoding] of list.entries()) message.writeInt32BE(encoding, 4 + 4 * index);
  return message;
}

/** Requests an area from the top left corner, or its changes. */
export function updateRequest({ width, height }: Size, changes: boolean): Buffer {
  const message = Buffer.alloc(10);
  message.writeUInt8(3, 0);
  message.writeUInt8(changes ? 1 : 0, 1);
  message.writeUInt16BE(width, 6);
  message.writeUInt16BE(height, 8);
  return message;
}

export function keyEvent(keysym: number, down: boolean): Buffer {
  const message = Buffer.alloc(8);
  message.writeUInt8(4, 0);
  message.writeUInt8(down ? 1 : 0, 1);
  message.writeUInt32BE(keysym, 4);
  return message;
}

export function pointerEvent(x: number, y: number, mask: number): Buffer {
  const message = Buffer.alloc(6);
  message.writeUInt8(5, 0);
  message.writeUInt8(mask, 1);
  message.writeUInt16BE(x, 2);
  message.writeUInt16BE(y, 4);
  return message;
}

/** Requests another size. @param screenId the id of the server's one screen, in its layout */
export function setDesktopSize({ width, height }: Size, screenId: number): Buffer {
  const message = Buffer.alloc(24);
  message.writeUInt8(251, 0);
  message.writeUInt16BE(width, 2);
  message.writeUInt16BE(height, 4);
  message.writeUInt8(1, 6);
  message.writeUInt32BE(screenId, 8);
  message.writeUInt16BE(width, 16);
  message.writeUInt16BE(height, 18);
  return message;
}

/** Puts a text on the clipboard in Latin-1; other characters become question marks. */
export function cutText(text: string): Buffer {
  const bytes = Buffer.from(
    text.replace(/[^\p{ASCII}\u0080-\u00ff]/gu, '?').replaceAll('\r\n', '\n'),
    'latin1',
  );
  const head = Buffer.alloc(8);
  head.writeUInt8(6, 0);
  head.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}
