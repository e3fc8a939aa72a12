import { containerScreenshot } from '../contract/commands/container-screenshot.ts';
import { type CallInput, type ContainerCallOptions, fetchCall } from './calls.ts';
import { UnexpectedAnswerError } from './http-errors.ts';
import { Picture } from './picture.ts';
import type { Transport } from './transport.ts';

type Query = CallInput<'container.screenshot'>;
/** The format of a picture. */
export type PictureFormat = NonNullable<Query['format']>;

/** Options of a picture. */
export type ScreenshotOptions = Omit<Query, 'containerId' | 'region' | 'cursor' | 'wait'> & {
  /** The part of the screen, pixels. Default: all of it. */
  region?: { x: number; y: number; width: number; height: number };
  /** Whether the pointer is shown. Default: false. */
  cursor?: boolean;
  /** With `changedSince`: how long to wait for a change, ms, rounded up to seconds; at most 10,000. */
  waitMs?: number;
};

/**
 * Takes a picture of a container's screen.
 *
 * @returns the picture; `undefined` when the screen still shows the frame of `changedSince`
 * @throws RequestError when the edge refuses or does not respond
 */
export function readScreenshot(
  transport: Transport,
  containerId: string,
  { region, cursor, waitMs, ...options }: ScreenshotOptions,
  call: ContainerCallOptions,
): Promise<Picture | undefined> {
  const input = {
    ...options,
    containerId,
    ...(region ? { region: [region.x, region.y, region.width, region.height].join(',') } : {}),
    ...(cursor === undefined ? {} : { cursor: String(cursor) }),
    ...(waitMs === undefined ? {} : { wait: Math.ceil(waitMs / 1000) }),
  };
  return fetchCall(transport, containerScreenshot, input, call, async (response) =>
    response.status === 304 ? undefined : pictureOf(response),
  );
}

/** @throws UnexpectedAnswerError when it is no picture */
async function pictureOf(response: Response): Promise<Picture> {
  const { headers, status } = response;
  const [, format] = /^image\/(png|jpeg|webp)/.exec(headers.get('Content-Type') ?? '') ?? [];
  const sizeOf = (what: string) => ({
    width: Number(headers.get(`X-${what}-Width`)),
    height: Number(headers.get(`X-${what}-Height`)),
  });
  const size = sizeOf('Picture');
  if (!format || !size.width || !size.height) throw new UnexpectedAnswerError(status);
  const frame = (headers.get('ETag') ?? '').replace(/^(?:W\/)?"|"$/g, '');
  const picture = { ...size, format: format as PictureFormat, frame, screen: sizeOf('Screen') };
  return new Picture(picture, new Uint8Array(await response.arrayBuffer()));
}
