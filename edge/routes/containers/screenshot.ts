import { createRoute, z } from '@hono/zod-openapi';
import { SCREENSHOT_MS, screenshotPath } from '@warmwind/shared/screen';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { failures, IdParam, security } from '../../http/openapi.ts';
import { queryOf } from '../../http/query.ts';
import { limited } from '../../limits/charge.ts';
import { askRelay } from '../../realtime/ask.ts';
import { findContainer } from '../../records/find-container.ts';
import type { Services } from '../../services.ts';

/** The relay's own bound and the way there, ms. */
const WITHIN_MS = SCREENSHOT_MS + 3000;
const Picture = z.string().openapi({ format: 'binary' });

/** `GET /containers/:id/screenshot?format=`: the relay's answer, passed on. */
export function screenshotRoute(app: App, services: Services): void {
  const { limiter, relay } = services;
  const route = createRoute({
    method: 'get',
    path: '/containers/{id}/screenshot',
    operationId: 'screenshot',
    summary: 'What is on the screen of a desktop now',
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: {
      params: IdParam,
      query: queryOf({ format: z.enum(['png', 'jpeg']).default('png') }),
    },
    responses: {
      200: {
        description: 'The picture.',
        content: { 'image/png': { schema: Picture }, 'image/jpeg': { schema: Picture } },
      },
      ...failures(400, 401, 404, 409, 429, 503, 504),
    },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    if (!(await findContainer(c, services, id))) throw notFound('desktop');
    const { format } = c.req.valid('query');
    const asked = relay.answer(c.get('user').id, screenshotPath(id, format), { withinMs: WITHIN_MS });
    const answer = await askRelay(c, asked, 'No picture can be had now: retry.');
    return c.body(answer.body ?? '', 200, { 'Content-Type': `image/${format}` });
  });
}
