import { createRoute } from '@hono/zod-openapi';
import { WebhookSecret } from '@warmwind/shared/contract/answers';
import { webhookSecret } from '@warmwind/shared/contract/webhook-target';
import { SECRET } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { limited } from '../limits/charge.ts';
import type { Services } from '../services.ts';

/** `GET /webhooks/secret`: derived on each request, so it is stored nowhere. */
export function getWebhookSecretRoute(app: App, { config, limiter }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/webhooks/secret',
    operationId: 'getWebhookSecret',
    summary: 'The secret that signs the webhooks of your jobs',
    description:
      'Verify `Webhook-Id`, `Webhook-Timestamp` and `Webhook-Signature` with it, by any Standard Webhooks library.',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    responses: {
      200: json(WebhookSecret, 'Your secret.', SECRET),
      ...failures(400, 401, 429),
    },
  });
  app.openapi(route, async (c) =>
    c.json({ secret: await webhookSecret(config.WEBHOOK_SECRET, c.get('user').id) }, 200),
  );
}
