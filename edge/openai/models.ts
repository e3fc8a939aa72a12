import { createRoute, z } from '@hono/zod-openapi';
import { OCR_MODEL } from '@warmwind/shared/inference';
import { modelEntry } from '@warmwind/shared/openai';
import type { App } from '../env.ts';
import { json, security } from '../http/openapi.ts';
import { servedModels } from '../inference/models.ts';
import { limited } from '../limits/charge.ts';
import type { Services } from '../services.ts';
import { openAiFailures } from './openapi.ts';

const Entry = z.object({
  id: z.string(),
  object: z.literal('model'),
  created: z.number().int(),
  owned_by: z.string(),
});

/** `GET /v1/models`: those that answer in words. Nobody knows when they were made. */
export function listOpenAiModels(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/models',
    operationId: 'listOpenAiModels',
    summary: 'The models that are served now, as OpenAI lists them',
    security,
    middleware: [limited(limiter, 'open')] as const,
    responses: {
      200: json(z.object({ object: z.literal('list'), data: z.array(Entry) }), 'By name.'),
      ...openAiFailures(401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const ids = [...(await servedModels(redis)).keys()].filter((id) => id !== OCR_MODEL);
    const data = ids.sort().map((id) => modelEntry(id, 0));
    return c.json({ object: 'list' as const, data }, 200);
  });
}
