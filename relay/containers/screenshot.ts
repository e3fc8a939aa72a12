import { notRunning } from '@warmwind/shared/containers';
import { ApiError } from '@warmwind/shared/errors';
import { z } from 'zod';
import type { Http } from '../http/http.ts';
import type { ContainersContext } from './context.ts';
import { ownedDesktop } from './owned.ts';

const Format = z.enum(['png', 'jpeg']).default('png');

/** `GET /containers/:id/screenshot?format=`: what is on the screen now, taken by the desktop's host. */
export function screenshot(http: Http, { known, screenshots, answers }: ContainersContext): void {
  http.get('/containers/:id/screenshot', async (c) => {
    const format = Format.safeParse(c.req.query('format'));
    if (!format.success) {
      throw new ApiError('bad_request', 'Correct format: png or jpeg.', {
        issues: [{ path: 'format', message: 'png or jpeg' }],
      });
    }
    const { id, state } = await ownedDesktop(known, c.var.ticket, c.req.param('id'));
    if (state !== 'running') {
      throw new ApiError('conflict', notRunning(state));
    }
    answers.hold(c, () => undefined);
    const picture = await screenshots.take(id, format.data);
    return c.body(new Uint8Array(picture), 200, {
      'Content-Type': `image/${format.data}`,
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    });
  });
}
