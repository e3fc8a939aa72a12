import { createRoute, z } from '@hono/zod-openapi';
import { pageOf } from '@warmwind/shared/contract/answers';
import { DELIVERY_STATES, WebhookDelivery } from '@warmwind/shared/contract/webhook-deliveries';
import { DELIVERY } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { failures, IdParam, json, security } from '../../http/openapi.ts';
import { noQuery, queryOf } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { PageShape, readPageRequest } from '../../lists/query.ts';
import type { Services } from '../../services.ts';

const Page = pageOf(WebhookDelivery).meta({ id: 'WebhookDeliveryPage' });
const Filters = {
  state: z.enum(DELIVERY_STATES).optional(),
  jobId: z.string().min(1).max(64).optional().describe('Only those of this job.'),
};

/** `GET /webhooks/deliveries` */
export function listDeliveriesRoute(app: App, { limiter, webhooks }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/webhooks/deliveries',
    operationId: 'listWebhookDeliveries',
    summary: 'Your webhooks and how their deliveries go, newest first',
    description: 'Kept for 24 hours after they have ended. A page may be short and still have a successor.',
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: { query: queryOf({ ...PageShape, ...Filters }) },
    responses: {
      200: json(Page, 'One page.', { items: [DELIVERY], nextCursor: null }),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const { state, jobId, ...page } = c.req.valid('query');
    return c.json(await webhooks.list(c.get('user').id, readPageRequest(page), { state, jobId }), 200);
  });
}

/** `GET /webhooks/deliveries/:id` */
export function getDeliveryRoute(app: App, { limiter, webhooks }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/webhooks/deliveries/{id}',
    operationId: 'getWebhookDelivery',
    summary: 'One of your webhooks and how its delivery goes',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    request: { params: IdParam },
    responses: {
      200: json(WebhookDelivery, 'The delivery.', DELIVERY),
      ...failures(400, 401, 404, 429, 503),
    },
  });
  app.openapi(route, async (c) => c.json(await webhooks.get(c.get('user').id, c.req.valid('param').id), 200));
}
