import { createRoute } from '@hono/zod-openapi';
import { FleetHost, FleetHosts } from '@warmwind/shared/contract/admin';
import type { Context } from 'hono';
import { drainHost, findHost, listHosts, undrainHost } from '../../admin/hosts.ts';
import { FLEET_HOST } from '../../docs/admin-examples.ts';
import type { App, AppEnv } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { log } from '../../http/log.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import type { Services } from '../../services.ts';

const FAILURES = failures(400, 401, 403, 404, 429, 503);

/** `GET /admin/hosts` */
export function listHostsRoute(app: App, { redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/admin/hosts',
    operationId: 'listHosts',
    summary: 'The hosts of the fleet, for administrators',
    description: 'What each host offers, what is reserved on it, and whether it takes new desktops.',
    security,
    middleware: [noQuery] as const,
    responses: {
      200: json(FleetHosts, 'The hosts.', { items: [FLEET_HOST] }),
      ...failures(400, 401, 403, 429, 503),
    },
  });
  app.openapi(route, async (c) => c.json({ items: await listHosts(redis) }, 200));
}

/** `POST /admin/hosts/:id/drain` */
export function drainHostRoute(app: App, { redis }: Services): void {
  const route = createRoute({
    method: 'post',
    path: '/admin/hosts/{id}/drain',
    operationId: 'drainHost',
    summary: 'Drain a host, for administrators',
    description:
      'It takes no new desktops from this answer on, also after its worker was restarted; starts that it has begun are ' +
      'completed. Its warm pool ends within a few seconds. Its desktops run on until they end, and can be extended.',
    security,
    middleware: [noQuery] as const,
    request: { params: IdParam },
    responses: { 200: json(FleetHost, 'The host, draining.', FLEET_HOST), ...FAILURES },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    await knownHost(redis, id);
    await drainHost(redis, id);
    record(c, id, 'host drain requested');
    return c.json(await knownHost(redis, id), 200);
  });
}

/** `DELETE /admin/hosts/:id/drain` */
export function undrainHostRoute(app: App, { redis }: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/admin/hosts/{id}/drain',
    operationId: 'undrainHost',
    summary: 'End the drain of a host, for administrators',
    description: 'It takes new desktops again, within a few seconds.',
    security,
    middleware: [noQuery] as const,
    request: { params: IdParam },
    responses: { 204: { description: 'It does not drain.' }, ...FAILURES },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    await knownHost(redis, id);
    await undrainHost(redis, id);
    record(c, id, 'host drain ended');
    return c.body(null, 204);
  });
}

/** @throws ApiError `not_found` */
async function knownHost(redis: Services['redis'], id: string): Promise<FleetHost> {
  const host = await findHost(redis, id);
  if (!host) throw notFound('host');
  return host;
}

const record = (c: Context<AppEnv>, host: string, what: string) =>
  log.warn(what, { requestId: c.get('requestId'), host, by: c.get('user').id });
