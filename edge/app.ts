import { OpenAPIHono } from '@hono/zod-openapi';
import { newId } from '@warmwind/shared/ids';
import type { MiddlewareHandler } from 'hono';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { authenticate } from './auth/authenticate.ts';
import type { Config } from './config.ts';
import type { App, AppEnv } from './env.ts';
import { accessLog } from './http/access-log.ts';
import { drainBody } from './http/body.ts';
import { crossOrigin } from './http/cross-origin.ts';
import { errorResponse, onInvalid } from './http/error-response.ts';
import { noRoute, openMethods } from './http/methods.ts';
import { useWording } from './http/wording.ts';
import { limited } from './limits/charge.ts';
import { isOpenAi, openAiErrorResponse } from './openai/errors.ts';
import { commandRoutes } from './routes/commands.ts';
import { consoleRoutes } from './routes/console.ts';
import { getContainer } from './routes/containers/get.ts';
import { listContainers } from './routes/containers/list.ts';
import { screenshot } from './routes/containers/screenshot.ts';
import { expelViewer, listViewers } from './routes/containers/viewers.ts';
import { docsRoutes } from './routes/docs.ts';
import { healthRoutes } from './routes/health.ts';
import { cancelJob } from './routes/jobs/cancel.ts';
import { jobEvents } from './routes/jobs/events.ts';
import { getJob } from './routes/jobs/get.ts';
import { listJobs } from './routes/jobs/list.ts';
import { retryJob } from './routes/jobs/retry.ts';
import { getLimits } from './routes/limits.ts';
import { listModels } from './routes/models.ts';
import { chatCompletions } from './routes/openai/chat.ts';
import { getOpenAiModel, listOpenAiModels } from './routes/openai/models.ts';
import { createTicket } from './routes/realtime/create-ticket.ts';
import { listShareLinks } from './routes/realtime/list-share-links.ts';
import { revokeAllTickets } from './routes/realtime/revoke-all-tickets.ts';
import { revokeTicket } from './routes/realtime/revoke-ticket.ts';
import { getUsage } from './routes/usage.ts';
import { getWebhookSecret } from './routes/webhook-secret.ts';
import { createServices } from './services.ts';

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
