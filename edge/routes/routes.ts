import type { MiddlewareHandler } from 'hono';
import { requireAdmin } from '../auth/require-admin.ts';
import type { App, AppEnv } from '../env.ts';
import { limited } from '../limits/charge.ts';
import type { Services } from '../services.ts';
import { drainHostRoute, listHostsRoute, undrainHostRoute } from './admin/hosts.ts';
import { getUserLimitsRoute, removeUserLimitsRoute, setUserLimitsRoute } from './admin/user-limits.ts';
import { callRoutes } from './calls.ts';
import { commandRoutes } from './commands.ts';
import { consoleRoutes } from './console.ts';
import { fileRoutes } from './containers/files.ts';
import { getContainerRoute } from './containers/get.ts';
import { listContainersRoute } from './containers/list.ts';
import { expelViewerRoute, listViewersRoute } from './containers/viewers.ts';
import { docsRoutes } from './docs.ts';
import { healthRoutes } from './health.ts';
import { cancelJobRoute } from './jobs/cancel.ts';
import { jobEventsRoute } from './jobs/events.ts';
import { getJobRoute } from './jobs/get.ts';
import { listJobsRoute } from './jobs/list.ts';
import { retryJobRoute } from './jobs/retry.ts';
import { getLimitsRoute } from './limits.ts';
import { mcpRoute } from './mcp.ts';
import { listModelsRoute } from './models.ts';
import { chatCompletionsRoute } from './openai/chat.ts';
import { getOpenAiModelRoute, listOpenAiModelsRoute } from './openai/models.ts';
import { createTicketRoute } from './realtime/create-ticket.ts';
import { listShareLinksRoute } from './realtime/list-share-links.ts';
import { revokeAllTicketsRoute } from './realtime/revoke-all-tickets.ts';
import { revokeTicketRoute } from './realtime/revoke-ticket.ts';
import { getUsageRoute } from './usage.ts';
import { getWebhookSecretRoute } from './webhook-secret.ts';
import { getDeliveryRoute, listDeliveriesRoute } from './webhooks/deliveries.ts';
import { cancelWebhookRoute, resendWebhookRoute, testWebhookRoute } from './webhooks/send.ts';

/** Adds the routes that need no token; `throttled` bounds how much of their files one address loads. */
export function openRoutes(app: App, services: Services, throttled: MiddlewareHandler<AppEnv>): void {
  consoleRoutes(app, services.config, throttled);
  docsRoutes(app, throttled);
  healthRoutes(app, services);
}

/** Adds the routes of administrators, all below `/admin`, behind `authenticate`. */
export function adminRoutes(app: App, services: Services): void {
  app.use('/admin/*', limited(services.limiter, 'closed', ['admin']), requireAdmin);
  listHostsRoute(app, services);
  drainHostRoute(app, services);
  undrainHostRoute(app, services);
  getUserLimitsRoute(app, services);
  setUserLimitsRoute(app, services);
  removeUserLimitsRoute(app, services);
}

/** Adds the routes that belong to a user, behind `authenticate`. */
export function userRoutes(app: App, services: Services): void {
  commandRoutes(app, services);
  callRoutes(app, services);
  fileRoutes(app, services);
  listContainersRoute(app, services);
  getContainerRoute(app, services);
  listViewersRoute(app, services);
  expelViewerRoute(app, services);
  listModelsRoute(app, services);
  chatCompletionsRoute(app, services);
  listOpenAiModelsRoute(app, services);
  getOpenAiModelRoute(app, services);
  listJobsRoute(app, services);
  getJobRoute(app, services);
  cancelJobRoute(app, services);
  retryJobRoute(app, services);
  jobEventsRoute(app, services);
  createTicketRoute(app, services);
  listShareLinksRoute(app, services);
  revokeTicketRoute(app, services);
  revokeAllTicketsRoute(app, services);
  getLimitsRoute(app, services);
  getUsageRoute(app, services);
  getWebhookSecretRoute(app, services);
  listDeliveriesRoute(app, services);
  getDeliveryRoute(app, services);
  resendWebhookRoute(app, services);
  cancelWebhookRoute(app, services);
  testWebhookRoute(app, services);
  mcpRoute(app, services);
}
