const START = 0xffd8;
/** Baseline, extended and progressive pictures. */
const FRAMES = [0xc0, 0xc1, 0xc2];
const SCAN = 0xda;

/** Reads the size of a JPEG from the headers before its pixels. @returns `undefined` when it is malformed */
export function jpegSize(jpeg: Buffer): { width: number; height: number } | undefined {
  if (jpeg.length < 2 || jpeg.readUInt16BE() !== START) return undefined;
  let size: { width: number; height: number } | undefined;
  for (let at = 2; at + 4 <= jpeg.length; ) {
    const marker = jpeg[at + 1] ?? 0;
    const length = jpeg.readUInt16BE(at + 2);
    if (jpeg[at] !== 0xff || length < 2) return undefined;
    if (marker === SCAN) return size;
    if (FRAMES.includes(marker)) {
      if (size || length < 7 || at + 9 > jpeg.length) return undefined;
      size = { height: jpeg.readUInt16BE(at + 5), width: jpeg.readUInt16BE(at + 7) };
    }
    at += 2 + length;
  }
  return undefined;
}
