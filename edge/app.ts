import { OpenAPIHono } from '@hono/zod-openapi';
import { newId } from '@warmwind/shared/contract/ids';
import { requestId } from 'hono/request-id';
import { authenticate } from './auth/authenticate.ts';
import type { Config } from './config.ts';
import type { App, AppEnv } from './env.ts';
import { accessLog } from './http/access-log.ts';
import { answerError } from './http/answer-error.ts';
import { drainBody } from './http/body.ts';
import { crossOrigin } from './http/cross-origin.ts';
import { onInvalid } from './http/error-response.ts';
import { closeOpenPaths, noRoute, refuseMethod } from './http/no-route.ts';
import { safeHeaders } from './http/safe-headers.ts';
import { useWording } from './http/wording.ts';
import { limited } from './limits/charge.ts';
import { throttledByAddress } from './limits/throttled.ts';
import { adminRoutes, openRoutes, userRoutes } from './routes/routes.ts';
import { createServices } from './services.ts';

/** Creates the edge: the open routes first, then the routes of users. */
export function createApp(config: Config): App {
  useWording();
  const services = createServices(config);
  const app: App = new OpenAPIHono<AppEnv>({ defaultHook: onInvalid });
  app.onError(answerError);
  app.use(
    requestId({ limitLength: 64, generator: newId }),
    accessLog,
    drainBody,
    safeHeaders(),
    crossOrigin(config),
    refuseMethod(app),
  );
  const throttled = throttledByAddress(config);
  openRoutes(app, services, throttled);
  closeOpenPaths(app, throttled);
  app.use(authenticate(services));
  userRoutes(app, services);
  adminRoutes(app, services);
  app.all('*', limited(services.limiter, 'open'), noRoute(app));
  return app;
}
