import { createRoute } from '@hono/zod-openapi';
import type { LimitScope } from '@warmwind/shared/contract/limits';
import { WebhookDelivery, WebhookQueued, WebhookTest } from '@warmwind/shared/contract/webhook-deliveries';
import { webhookIssues } from '../../admission/webhook-url.ts';
import { DELIVERY } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { jsonBody } from '../../http/body.ts';
import { badRequest } from '../../http/errors.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import type { Services } from '../../services.ts';

const SCOPES: LimitScope[] = ['user', 'webhooks'];
const QUEUED = json(WebhookQueued, 'It is queued.', { id: DELIVERY.id });

/** `POST /webhooks/deliveries/:id/resend` */
export function resendWebhookRoute(app: App, { limiter, webhooks }: Services): void {
  const route = createRoute({
    method: 'post',
    path: '/webhooks/deliveries/{id}/resend',
    operationId: 'resendWebhook',
    summary: 'Send one of your webhooks again',
    description:
      'One that was delivered, failed or was cancelled: the same event under the same `Webhook-Id`, tried as the first time.',
    security,
    middleware: [limited(limiter, 'closed', SCOPES), noQuery] as const,
    request: { params: IdParam },
    responses: { 202: QUEUED, ...failures(400, 401, 404, 409, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    await webhooks.resend(c.get('user').id, id);
    return c.json({ id }, 202);
  });
}

/** `DELETE /webhooks/deliveries/:id` */
export function cancelWebhookRoute(app: App, { limiter, webhooks }: Services): void {
  const route = createRoute({
    method: 'delete',
    path: '/webhooks/deliveries/{id}',
    operationId: 'cancelWebhook',
    summary: 'Cancel one of your pending webhooks',
    description: 'It is not tried again. A try that is on its way may still arrive, and is `delivered` then.',
    security,
    middleware: [limited(limiter, 'closed'), noQuery] as const,
    request: { params: IdParam },
    responses: {
      200: json(WebhookDelivery, 'It is cancelled.', { ...DELIVERY, state: 'cancelled' as const }),
      ...failures(400, 401, 404, 409, 429, 503),
    },
  });
  app.openapi(route, async (c) =>
    c.json(await webhooks.cancel(c.get('user').id, c.req.valid('param').id), 200),
  );
}

/** `POST /webhooks/test` */
export function testWebhookRoute(app: App, { config, limiter, webhooks }: Services): void {
  const route = createRoute({
    method: 'post',
    path: '/webhooks/test',
    operationId: 'testWebhook',
    summary: 'Send a test to the address of a webhook',
    description:
      'A signed event `webhook.test`, sent once as every webhook is, to the addresses that are permitted to webhooks.',
    security,
    middleware: [limited(limiter, 'closed', SCOPES), noQuery, jsonBody] as const,
    request: { body: json(WebhookTest, 'The address.', { url: 'https://hooks.example.com/warmwind' }) },
    responses: { 202: QUEUED, ...failures(400, 401, 408, 413, 415, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { url } = c.req.valid('json');
    const issues = webhookIssues(url, config).map((issue) => ({ ...issue, path: 'url' }));
    if (issues.length > 0) throw badRequest(issues);
    return c.json({ id: await webhooks.test(c.get('user').id, url) }, 202);
  });
}
