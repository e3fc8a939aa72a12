import { modelEntry, openAiError } from '@warmwind/shared/contract/openai';
import { liveChecks, probeRoutes } from '@warmwind/shared/runtime/node/health';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Registry } from 'prom-client';
import { chatCompletions } from './chat.ts';
import type { Loaded } from './loaded.ts';
import { createMetrics } from './metrics.ts';
import { RequestRefusedError, refuse, refuseForNow } from './refusal.ts';

/** The routes of the API, as a 404 names them. */
const ROUTES = 'POST /v1/chat/completions, GET /v1/models, GET /v1/models/:id';
const MAX_BODY_BYTES = 2 ** 20;

export type ModelServer = {
  /** `undefined` until the model is in memory. */
  loaded: () => Loaded | undefined;
  log: Logger;
  registry: Registry;
  /** Is the server shutting down? It takes no new requests then. */
  draining: () => boolean;
  /** Aborted when running answers must end. */
  over: AbortSignal;
};

/** The OpenAI API for one model. It needs no key: anyone who reaches the port may use it. */
export function buildApp(server: ModelServer): Hono {
  const { loaded, log, registry, draining } = server;
  const metrics = createMetrics(registry, () => {
    const pool = loaded()?.pool;
    return { taken: pool?.taken ?? 0, waiting: pool?.waiting ?? 0 };
  });
  const use = (): Loaded => {
    if (draining()) throw refuseForNow(503, 'The server is shutting down. Use another one.', 'unavailable');
    const ready = loaded();
    if (!ready) throw refuseForNow(503, 'The model is being loaded. Retry soon.', 'unavailable');
    return ready;
  };
  const isReady = async () => ({ model: use().model.id });

  const app = new Hono();
  app.route('/', probeRoutes({ live: liveChecks(), ready: { model: isReady }, registry }, draining));
  app.get('/health', async (c) => {
    use();
    return c.json({ status: 'ok' });
  });
  app.get('/v1/models', (c) => {
    const { model } = use();
    return c.json({ object: 'list', data: [modelEntry(model.id, model.created)] });
  });
  app.get('/v1/models/:id{.+}', (c) => {
    const { model } = use();
    if (c.req.param('id') !== model.id) throw unknownModel(model.id);
    return c.json(modelEntry(model.id, model.created));
  });
  app.post(
    '/v1/chat/completions',
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: () => {
        throw refuse(413, 'The body is larger than 1 MB: send less.', 'payload_too_large');
      },
    }),
    chatCompletions({ use, unknownModel, metrics, over: server.over, log }),
  );
  app.notFound((c) =>
    c.json(openAiError(404, `There is no ${c.req.method} ${c.req.path}. Use ${ROUTES}.`), 404),
  );
  app.onError((error) => {
    if (!(error instanceof RequestRefusedError)) log.error({ err: error }, 'request failed');
    const { status, body, headers } =
      error instanceof RequestRefusedError
        ? error
        : refuse(500, 'The answer failed inside the server.', 'internal');
    return new Response(JSON.stringify(body), {
      status,
      headers: {
        'Content-Type': 'application/json',
        ...headers,
        ...(draining() ? { Connection: 'close' } : {}),
      },
    });
  });
  return app;
}

const unknownModel = (served: string): RequestRefusedError =>
  refuse(404, `This server has no such model; it serves ${served}.`, 'model_not_found', 'model');
