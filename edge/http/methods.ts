import type { MiddlewareHandler } from 'hono';
import type { App, AppEnv } from '../env.ts';
import { methodNotAllowed, noSuchRoute } from './errors.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** The methods that a path has a route for, as `Allow` lists them; '' when it has none. */
function allowedAt(app: App, path: string): string {
  const routed = METHODS.filter((method) =>
    app.router.match(method, path)[0].some(([[, route]]) => route.method === method),
  );
  return routed.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
}

/** Stands behind the routes that are open to all: whoever gets this far with one of their paths has the wrong method. */
export function openMethods(app: App): MiddlewareHandler<AppEnv> {
  const open = new Set(app.routes.filter(({ method }) => method !== 'ALL').map(({ path }) => path));
  const refuse = noRoute(app);
  return (c, next) => (open.has(c.req.path) ? refuse(c, next) : next());
}

/** The routes that have the same first segment as a path, by name: `GET /v1/models`. */
function routesNear(app: App, path: string): string[] {
  const [, first] = path.split('/');
  const near = app.routes.filter(
    (route) => METHODS.includes(route.method) && route.path.split('/')[1] === first,
  );
  return [...new Set(near.map((route) => `${route.method} ${route.path}`))];
}

/** What has no route: 405 with `Allow` when the path has one for another method, else 404. */
export const noRoute =
  (app: App): MiddlewareHandler<AppEnv> =>
  async (c) => {
    const allowed = allowedAt(app, c.req.path);
    if (allowed === '') throw noSuchRoute(routesNear(app, c.req.path));
    c.header('Allow', allowed);
    throw methodNotAllowed(allowed);
  };
