import { OpenAPIHono } from '@hono/zod-openapi';
import { newId } from '@warmwind/shared/ids';
import type { MiddlewareHandler } from 'hono';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { authenticate } from './auth/authenticate.ts';
import { commandRoutes } from './commands/routes.ts';
import type { Config } from './config.ts';
import { consoleRoutes } from './console/routes.ts';
import { getContainer } from './containers/get.ts';
import { listContainers } from './containers/list.ts';
import { screenshot } from './containers/screenshot.ts';
import { expelViewer, listViewers } from './containers/viewers.ts';
import { docsRoutes } from './docs/routes.ts';
import type { App, AppEnv } from './env.ts';
import { healthRoutes } from './health/routes.ts';
import { accessLog } from './http/access-log.ts';
import { drainBody } from './http/body.ts';
import { crossOrigin } from './http/cross-origin.ts';
import { errorResponse, onInvalid } from './http/error-response.ts';
import { noRoute, openMethods } from './http/methods.ts';
import { useWording } from './http/wording.ts';
import { listModels } from './inference/models.ts';
import { cancelJob } from './jobs/cancel.ts';
import { jobEvents } from './jobs/events.ts';
import { getJob } from './jobs/get.ts';
import { listJobs } from './jobs/list.ts';
import { retryJob } from './jobs/retry.ts';
import { limited } from './limits/charge.ts';
import { getLimits } from './limits/get.ts';
import { chatCompletions } from './openai/chat.ts';
import { isOpenAi, openAiErrorResponse } from './openai/errors.ts';
import { getOpenAiModel, listOpenAiModels } from './openai/models.ts';
import { listShareLinks } from './realtime/list.ts';
import { revokeTicket } from './realtime/revoke.ts';
import { revokeAllTickets } from './realtime/revoke-all.ts';
import { createTicket } from './realtime/token.ts';
import { createServices } from './services.ts';
import { getUsage } from './usage/get.ts';
import { getWebhookSecret } from './webhooks/secret.ts';

/** The edge: what is open to all, then what belongs to a user. */
export function createApp(config: Config): App {
  useWording();
  const services = createServices(config);
  const app: App = new OpenAPIHono<AppEnv>({ defaultHook: onInvalid });
  app.onError((error, c) => (isOpenAi(c.req.path) ? openAiErrorResponse(error, c) : errorResponse(error, c)));

  app.use(
    requestId({ limitLength: 64, generator: newId }),
    accessLog,
    drainBody,
    safeHeaders(),
    crossOrigin(config),
  );

  consoleRoutes(app, config);
  docsRoutes(app);
  healthRoutes(app, services);

  app.use(openMethods(app), authenticate(services));

  commandRoutes(app, services);
  listContainers(app, services);
  getContainer(app, services);
  screenshot(app, services);
  listViewers(app, services);
  expelViewer(app, services);
  listModels(app, services);
  chatCompletions(app, services);
  listOpenAiModels(app, services);
  getOpenAiModel(app, services);
  listJobs(app, services);
  getJob(app, services);
  cancelJob(app, services);
  retryJob(app, services);
  jobEvents(app, services);
  createTicket(app, services);
  listShareLinks(app, services);
  revokeTicket(app, services);
  revokeAllTickets(app, services);
  getLimits(app, services);
  getUsage(app, services);
  getWebhookSecret(app, services);

  app.all('*', limited(services.limiter, 'open'), noRoute(app));
  return app;
}

/** An answer is not stored, framed or taken for something else, unless its route says otherwise. */
const safeHeaders = (): MiddlewareHandler<AppEnv> => {
  const secure = secureHeaders({
    xFrameOptions: 'DENY',
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  return async (c, next) => {
    c.header('Cache-Control', 'no-store');
    c.header('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'");
    await secure(c, next);
    // Older browsers' form of the same: it knows no list of those who may.
    const policy = c.res.headers.get('Content-Security-Policy') ?? '';
    if (!policy.includes("frame-ancestors 'none'")) c.res.headers.delete('X-Frame-Options');
  };
};
