import { createRoute, z } from '@hono/zod-openapi';
import { OCR_MODEL } from '@warmwind/shared/contract/inference';
import { modelEntry } from '@warmwind/shared/contract/openai';
import { MODEL_ENTRY } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { json, security } from '../../http/openapi.ts';
import { limited } from '../../limits/charge.ts';
import { NoAnswerError } from '../../openai/errors.ts';
import { openAiFailures } from '../../openai/openapi.ts';
import { servedModels } from '../../records/served-models.ts';
import type { Services } from '../../services.ts';

const Entry = z
  .object({
    id: z.string().describe('Name of the model.'),
    object: z.literal('model').describe('Always `model`.'),
    created: z.number().int().describe('Always 0: it is not known.'),
    owned_by: z.string().describe('Always `warmwind`.'),
  })
  .meta({ id: 'OpenAiModel' });
const Entries = z
  .object({
    object: z.literal('list').describe('Always `list`.'),
    data: z.array(Entry).describe('By name.'),
  })
  .meta({ id: 'OpenAiModelList' });

/** `GET /v1/models`: the models that generate text. Their time of creation is not known. */
export function listOpenAiModelsRoute(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/models',
    operationId: 'listOpenAiModels',
    summary: 'The models that are served now, in the form of OpenAI',
    security,
    middleware: [limited(limiter, 'open')] as const,
    responses: {
      200: json(Entries, 'By name.', {
        object: 'list',
        data: [MODEL_ENTRY],
      }),
      ...openAiFailures(401, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const data = (await wordModels(redis)).map((id) => modelEntry(id, 0));
    return c.json({ object: 'list' as const, data }, 200);
  });
}

/** `GET /v1/models/:id`. Clients encode the slashes of a name. */
export function getOpenAiModelRoute(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/models/{id}',
    operationId: 'getOpenAiModel',
    summary: 'One model that is served now, in the form of OpenAI',
    security,
    middleware: [limited(limiter, 'open')] as const,
    request: { params: z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) }) },
    responses: { 200: json(Entry, 'The model.', MODEL_ENTRY), ...openAiFailures(401, 404, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const { id } = c.req.valid('param');
    const served = await wordModels(redis);
    if (served.includes(id)) return c.json(modelEntry(id, 0), 200);
    const message = 'No host serves this model now: see GET /v1/models for those that are served.';
    throw new NoAnswerError(404, message, 'model_not_found', 'model');
  });
}

/** By name. */
const wordModels = async (redis: Services['redis']): Promise<string[]> =>
  [...(await servedModels(redis)).keys()].filter((id) => id !== OCR_MODEL).sort();
