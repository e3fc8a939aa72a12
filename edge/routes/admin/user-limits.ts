import { createRoute } from '@hono/zod-openapi';
import { UserLimitsRecord } from '@warmwind/shared/contract/admin';
import { isUserId } from '@warmwind/shared/contract/ids';
import { UserLimits } from '@warmwind/shared/contract/limits';
import type { SetLimits } from '@warmwind/shared/engine/user-limits';
import { iso } from '@warmwind/shared/runtime/times';
import type { Context } from 'hono';
import { USER_LIMITS, USER_LIMITS_RECORD } from '../../docs/admin-examples.ts';
import type { App, AppEnv } from '../../env.ts';
import { jsonBody } from '../../http/body.ts';
import { notFound } from '../../http/errors.ts';
import { log } from '../../http/log.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { currentLimits } from '../../limits/current.ts';
import type { Services } from '../../services.ts';

const ANSWER = json(UserLimitsRecord, 'The limits of the user.', USER_LIMITS_RECORD);

/** `GET /admin/users/:id/limits`: any id that a user can have is answered, as users are not recorded. */
export function getUserLimitsRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/admin/users/{id}/limits',
    operationId: 'getUserLimits',
    summary: 'The limits of a user, for administrators',
    security,
    middleware: [noQuery] as const,
    request: { params: IdParam },
    responses: { 200: ANSWER, ...failures(400, 401, 403, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const userId = userOf(c.req.valid('param'));
    const found = await services.userLimits.read(c, userId);
    return c.json(await recordOf(services, userId, found), 200);
  });
}

/** `PUT /admin/users/:id/limits` */
export function setUserLimitsRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'put',
    path: '/admin/users/{id}/limits',
    operationId: 'setUserLimits',
    summary: 'Set the limits of a user, for administrators',
    description:
      'Replaces all that was set for the user before. They hold from the next request on; a user who is refused at that ' +
      'time may be refused for one more second. Requests of the present window count, as far back as the windows before.',
    security,
    middleware: [noQuery, jsonBody] as const,
    request: {
      params: IdParam,
      body: json(UserLimits, 'Limits that differ from those of the deployment.', USER_LIMITS),
    },
    responses: { 200: ANSWER, ...failures(400, 401, 403, 404, 408, 413, 415, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const userId = userOf(c.req.valid('param'));
    const limits = c.req.valid('json');
    const set = await services.userLimits.write(c, userId, limits);
    log.warn('limits of a user set', { ...change(c, userId), limits: JSON.stringify(limits) });
    return c.json(await recordOf(services, userId, set), 200);
  });
}

/** `DELETE /admin/users/:id/limits` */
export function removeUserLimitsRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/admin/users/{id}/limits',
    operationId: 'removeUserLimits',
    summary: 'Give a user the limits of the deployment again, for administrators',
    security,
    middleware: [noQuery] as const,
    request: { params: IdParam },
    responses: {
      204: { description: 'The limits of the deployment hold.' },
      ...failures(400, 401, 403, 404, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const userId = userOf(c.req.valid('param'));
    await services.userLimits.write(c, userId, {});
    log.warn('limits of a user removed', change(c, userId));
    return c.body(null, 204);
  });
}

/** @throws ApiError `not_found` for an id that no user can have */
function userOf({ id }: { id: string }): string {
  if (!isUserId(id)) throw notFound('user');
  return id;
}

async function recordOf(
  services: Services,
  userId: string,
  found: SetLimits | undefined,
): Promise<UserLimitsRecord> {
  return {
    userId,
    limits: found?.limits ?? {},
    ...(found?.at === undefined ? {} : { updatedAt: iso(found.at), updatedBy: found.by }),
    effective: await currentLimits(services, userId),
  };
}

const change = (c: Context<AppEnv>, userId: string) => ({
  requestId: c.get('requestId'),
  userId,
  by: c.get('user').id,
});
