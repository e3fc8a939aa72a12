import type { BinaryAnswer, CallHandlers } from '../calls/call.ts';
import type { ScreenHost } from '../screen/host.ts';

/** Creates the handler of `container.screenshot`, which takes a picture of the present screen. */
export const createScreenshot =
  (screens: Pick<ScreenHost, 'screenshot'>): CallHandlers['container.screenshot'] =>
  async ({ containerId, input, signal }) => {
    const { format, region, cursor, wait = 0, ...rest } = input;
    const [x = 0, y = 0, w = 0, h = 0] = region?.split(',').map(Number) ?? [];
    const request = {
      ...rest,
      format,
      waitMs: wait * 1000,
      cursor: cursor === 'true',
      ...(region === undefined ? {} : { region: { x, y, w, h } }),
    };
    const picture = await screens.screenshot(containerId, request, signal);
    const type = `image/${format}`;
    if (!picture) return { type, headers: {}, bytes: Buffer.alloc(0), notModified: true } as BinaryAnswer;
    const { width, height, frame, screen, bytes } = picture;
    return {
      type,
      headers: {
        ETag: `"${frame}"`,
        'X-Picture-Width': `${width}`,
        'X-Picture-Height': `${height}`,
        'X-Screen-Width': `${screen.width}`,
        'X-Screen-Height': `${screen.height}`,
      },
      bytes,
    };
  };
