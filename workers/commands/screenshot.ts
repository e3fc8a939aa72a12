import type { CallHandlers } from '../calls/call.ts';
import type { ScreenHost } from '../screen/host.ts';

/** Creates the handler of `container.screenshot`, which takes a picture of the present screen. */
export const createScreenshot =
  (screens: Pick<ScreenHost, 'screenshot'>): CallHandlers['container.screenshot'] =>
  async ({ containerId, input: { format } }) => {
    const { width, height, bytes } = await screens.screenshot(containerId, format);
    return {
      type: `image/${format}`,
      headers: { 'X-Screen-Width': `${width}`, 'X-Screen-Height': `${height}` },
      bytes,
    };
  };
