import { crc32, deflateSync } from 'node:zlib';

/** Makes a PNG of one bit a pixel; `row` fills each row's bytes (zero: black). */
export function png(width: number, height: number, row: (bytes: Buffer, y: number) => void): Buffer {
  const stride = Math.ceil(width / 8) + 1;
  const pixels = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) row(pixels.subarray(y * stride + 1, (y + 1) * stride), y);
  return wrap(width, height, pixels);
}

/** Makes the same noise each time: a reader finds something like text everywhere, and takes long. */
export function noisePng(width: number, height: number): Buffer {
  let state = 1;
  return png(width, height, (bytes) => {
    for (let i = 0; i < bytes.length; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      bytes[i] = state >>> 16;
    }
  });
}

/** Makes a PNG whose header claims this size, with almost no data. */
export const bomb = (width: number, height: number): Buffer => wrap(width, height, Buffer.alloc(1));

/** Makes a grey BMP of 24 bits a pixel. */
export function bmp(width: number, height: number): Buffer {
  const bytes = Buffer.alloc(54 + width * height * 3, 180);
  bytes.fill(0, 0, 54).write('BM');
  bytes.writeUInt32LE(bytes.length, 2);
  bytes.writeUInt32LE(54, 10);
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(width, 18);
  bytes.writeInt32LE(height, 22);
  bytes.writeUInt16LE(1, 26);
  bytes.writeUInt16LE(24, 28);
  return bytes;
}

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function wrap(width: number, height: number, pixels: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const chunks = [chunk('IHDR', header), chunk('IDAT', deflateSync(pixels)), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([SIGNATURE, ...chunks]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}
