import type { MiddlewareHandler } from 'hono';
import { methodNotAllowed } from 'hono/method-not-allowed';
import type { App, AppEnv } from '../env.ts';
import { answerError } from './answer-error.ts';
import { methodNotAllowedError, noSuchRoute } from './errors.ts';

/** In the order in which `Allow` lists them. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/**
 * Answers 405 with `Allow` where `noRoute` answered 404 and the path has a route for another method. An error
 * that a route throws is unchanged.
 */
export const refuseMethod = (app: App): MiddlewareHandler<AppEnv> =>
  methodNotAllowed<AppEnv>({
    app,
    onMethodNotAllowed: (c, methods) => {
      const allowed = METHODS.filter((method) => methods.includes(method)).join(', ');
      const answer = answerError(methodNotAllowedError(allowed), c);
      answer.headers.set('Allow', allowed);
      return answer;
    },
  });

/**
 * Answers 404, and names the routes near the path. It returns the answer, because `refuseMethod` ignores
 * thrown errors.
 */
export const noRoute =
  (app: App): MiddlewareHandler<AppEnv> =>
  async (c) =>
    answerError(noSuchRoute(routesNear(app, c.req.path)), c);

/** Answers 405 for the other methods of the paths registered so far, without a token. */
export function closeOpenPaths(app: App, throttled: MiddlewareHandler<AppEnv>): void {
  const open = new Set(app.routes.filter(({ method }) => method !== 'ALL').map(({ path }) => path));
  for (const path of open) app.all(path, throttled, noRoute(app));
}

/** The routes that have the same first segment as a path, by name: `GET /v1/models`. */
function routesNear(app: App, path: string): string[] {
  const [, first] = path.split('/');
  const near = app.routes.filter((route) => route.method !== 'ALL' && route.path.split('/')[1] === first);
  return [...new Set(near.map((route) => `${route.method} ${route.path}`))];
}
