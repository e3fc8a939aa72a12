import { notRunning } from '@warmwind/shared/containers';
import { ApiError } from '@warmwind/shared/errors';
import { z } from 'zod';
import { subjectOf } from '../auth/ticket.ts';
import type { Http } from '../http/http.ts';
import { LIMITS } from '../limits.ts';
import { ownedDesktop } from '../screen/owned.ts';
import type { ContainersContext } from './containers-context.ts';

const Format = z.enum(['png', 'jpeg']).default('png');

/** `GET /containers/:id/screenshot?format=`: what is on the screen now, taken by the desktop's host. */
export function screenshot(http: Http, { known, pictures, answers }: ContainersContext): void {
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
    const { ticket } = c.var;
    const { bytes, read } = await pictures.ask({
      subject: subjectOf(ticket),
      containerId: id,
      format: format.data,
    });
    const { outgoing } = c.env;
    const late = setTimeout(() => outgoing.destroy(), LIMITS.pictureReadMs).unref();
    outgoing.once('close', () => {
      clearTimeout(late);
      read();
    });
    // A view, no copy: all who share a picture are sent the same bytes.
    const view = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
    return c.body(view, 200, {
      'Content-Type': `image/${format.data}`,
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
    });
  });
}
