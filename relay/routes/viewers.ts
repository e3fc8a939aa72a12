import { ApiError } from '@warmwind/shared/contract/errors';
import { isId } from '@warmwind/shared/contract/ids';
import { actOnControl } from '@warmwind/shared/engine/node/control';
import type { Http } from '../http/http.ts';
import { ownedDesktop, realtimeUnavailable } from '../screen/owned.ts';
import { viewersOf } from '../screen/presence.ts';
import { publicHolder } from '../screen/screen.ts';
import type { ContainersContext } from './containers-context.ts';

/**
 * Serves `GET /containers/:id/viewers`: the viewers of a desktop on all nodes, and the holder of its control.
 */
export function listViewers(http: Http, { recordSources, screens, realtime }: ContainersContext): void {
  http.get('/containers/:id/viewers', async (c) => {
    const { id } = await ownedDesktop(recordSources, c.var.ticket, c.req.param('id'));
    const [seen, { holder }] = await Promise.all([
      screens.presence.list(id),
      actOnControl(realtime, id, 'look'),
    ]).catch(realtimeUnavailable);
    return c.json(viewersOf(seen, publicHolder(holder)), 200, { 'Cache-Control': 'no-store' });
  });
}

/** Serves `DELETE /containers/:id/viewers/:viewerId`: closes the connection of one viewer. */
export function expelViewer(http: Http, { recordSources, screens }: ContainersContext): void {
  http.delete('/containers/:id/viewers/:viewerId', async (c) => {
    const { id } = await ownedDesktop(recordSources, c.var.ticket, c.req.param('id'));
    const viewerId = c.req.param('viewerId');
    if (!isId(viewerId) || !(await screens.expel(id, viewerId).catch(realtimeUnavailable))) {
      throw new ApiError('not_found', 'There is no such viewer: list the viewers.');
    }
    return c.body(null, 204);
  });
}
