import type { PictureFormat } from './screenshot.ts';

/** A picture of a screen or of a part of it. */
export class Picture {
  /** The width of the picture, pixels. */
  readonly width: number;
  /** The height of the picture, pixels. */
  readonly height: number;
  /** The format of the bytes. */
  readonly format: PictureFormat;
  /** Names the state of the screen. `screenshot({ changedSince: frame })` waits for another one. */
  readonly frame: string;
  /** The size of the complete screen, pixels. */
  readonly screen: { width: number; height: number };
  #bytes: Uint8Array | undefined;
  #base64: string | undefined;

  /** @param data the encoded picture, as bytes or in base64 */
  constructor(
    {
      width,
      height,
      format,
      frame,
      screen,
    }: Pick<Picture, 'width' | 'height' | 'format' | 'frame' | 'screen'>,
    data: Uint8Array | string,
  ) {
    this.width = width;
    this.height = height;
    this.format = format;
    this.frame = frame;
    this.screen = screen;
    if (typeof data === 'string') this.#base64 = data;
    else this.#bytes = data;
  }

  /** The encoded picture. */
  get bytes(): Uint8Array {
    this.#bytes ??= Uint8Array.from(atob(this.#base64 ?? ''), (letter) => letter.charCodeAt(0));
    return this.#bytes;
  }

  /** The encoded picture in base64, as models take it. */
  get base64(): string {
    this.#base64 ??= toBase64(this.bytes);
    return this.#base64;
  }

  /** The media type of the bytes. */
  get mediaType(): `image/${PictureFormat}` {
    return `image/${this.format}`;
  }

  /** The space of points in this picture: pass it as `space` with the points that a model reads off it. */
  get space(): { width: number; height: number } {
    return { width: this.width, height: this.height };
  }
}

/** Encodes in pieces, because a call takes a limited number of arguments. */
function toBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; start += 0x8000)
    pieces.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)));
  return btoa(pieces.join(''));
}
