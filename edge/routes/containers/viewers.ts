import { createRoute, z } from '@hono/zod-openapi';
import { isId } from '@warmwind/shared/contract/ids';
import { Viewers, viewerPath, viewersPath } from '@warmwind/shared/contract/screen';
import { VIEWERS } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { askRelay } from '../../realtime/ask.ts';
import { findContainer } from '../../records/find-container.ts';
import type { Services } from '../../services.ts';

const ViewerParam = IdParam.extend({
  viewerId: z.string().openapi({ param: { name: 'viewerId', in: 'path' } }),
});

/** `GET /containers/:id/viewers`: as the relay has them. */
export function listViewersRoute(app: App, services: Services): void {
  const { limiter, relay } = services;
  const route = createRoute({
    method: 'get',
    path: '/containers/{id}/viewers',
    operationId: 'listViewers',
    summary: 'The viewers of one of your desktops, and which of them controls it',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    request: { params: IdParam },
    responses: { 200: json(Viewers, 'The present viewers.', VIEWERS), ...failures(400, 401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!(await findContainer(c, services, id))) throw notFound('desktop');
    const read = relay.answer(c.get('user').id, viewersPath(id)).then((answer) => answer.json());
    const viewers = await askRelay(c, read.then(Viewers.parse), 'The viewers can not be read now: retry.');
    return c.json(viewers, 200);
  });
}

/** `DELETE /containers/:id/viewers/:viewerId` */
export function expelViewerRoute(app: App, services: Services): void {
  const { limiter, relay } = services;
  const route = createRoute({
    method: 'delete',
    path: '/containers/{id}/viewers/{viewerId}',
    operationId: 'expelViewer',
    summary: 'Disconnect a viewer',
    description:
      'It may reconnect while its ticket is valid: revoke the ticket with `DELETE /realtime/tokens/{id}`.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery] as const,
    request: { params: ViewerParam },
    responses: { 204: { description: 'The viewer is disconnected.' }, ...failures(400, 401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { id, viewerId } = c.req.valid('param');
    if (!(await findContainer(c, services, id))) throw notFound('desktop');
    if (!isId(viewerId)) throw notFound('viewer');
    const asked = relay.answer(c.get('user').id, viewerPath(id, viewerId), { method: 'DELETE' });
    await askRelay(
      c,
      asked,
      'It is unknown whether the viewer was disconnected: list the viewers, or retry.',
    );
    return c.body(null, 204);
  });
}
