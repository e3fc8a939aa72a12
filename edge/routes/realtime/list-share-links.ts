import { createRoute } from '@hono/zod-openapi';
import { ShareLinkList } from '@warmwind/shared/contract/answers';
import { SHARE_LINK } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { failures, json, security } from '../../http/openapi.ts';
import { noQuery } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import type { Services } from '../../services.ts';

/** `GET /realtime/tokens` */
export function listShareLinksRoute(app: App, { limiter, shareLinks }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/realtime/tokens',
    operationId: 'listShareLinks',
    summary: 'Your valid share links',
    description:
      'Newest first, neither expired nor revoked. The links themselves are not stored: revoke a lost one and create another.',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    responses: {
      200: json(ShareLinkList, 'The links.', { items: [SHARE_LINK] }),
      ...failures(400, 401, 429, 503),
    },
  });
  app.openapi(route, async (c) => c.json({ items: await shareLinks.list(c.get('user').id) }, 200));
}
