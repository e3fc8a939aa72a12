import { createRoute, z } from '@hono/zod-openapi';
import { inference } from '@warmwind/shared/contract/commands/inference';
import { ChatRequest, type CompletionHead } from '@warmwind/shared/contract/openai';
import { idempotencyOf } from '../../admission/idempotency.ts';
import { prepare } from '../../admission/prepare.ts';
import { submit } from '../../admission/submit.ts';
import { CHAT, COMPLETION } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { imageBody } from '../../http/body.ts';
import { json, security } from '../../http/openapi.ts';
import { limitedBySubmission } from '../../limits/charge.ts';
import { bufferedCompletion } from '../../openai/buffered.ts';
import { inferenceInput } from '../../openai/input.ts';
import { openAiFailures } from '../../openai/openapi.ts';
import { answerSteps } from '../../openai/steps.ts';
import { streamed } from '../../openai/stream.ts';
import { Waiting } from '../../openai/waiting.ts';
import type { Services } from '../../services.ts';
import { SubmitHeaders } from '../submitting.ts';

const ChatCompletion = z
  .looseObject({
    id: z.string().describe('`chatcmpl-` and the id of the job.'),
    object: z.string().describe('`chat.completion`.'),
  })
  .meta({ id: 'ChatCompletion' });

/**
 * `POST /v1/chat/completions`: a job, answered in OpenAI's form. A client that disconnects cancels the job.
 */
export function chatCompletionsRoute(app: App, services: Services): void {
  const { limiter } = services;
  const route = createRoute({
    method: 'post',
    path: '/v1/chat/completions',
    operationId: 'chatCompletions',
    summary: 'Ask a model by the API of OpenAI',
    description: 'The API key is the token. Closing the connection cancels the job.',
    security,
    middleware: [limitedBySubmission(limiter, inference.limits), imageBody] as const,
    request: {
      headers: SubmitHeaders.pick({ 'idempotency-key': true }),
      body: json(ChatRequest, "OpenAI's request for text; an option that is not supported is refused.", CHAT),
    },
    responses: {
      200: {
        description: 'The answer, or with `stream` its chunks as server-sent events.',
        content: {
          'application/json': {
            schema: ChatCompletion,
            example: COMPLETION,
          },
          'text/event-stream': { schema: z.string() },
        },
      },
      ...openAiFailures(400, 401, 404, 408, 409, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c) => {
    const request = c.req.valid('json');
    const { 'idempotency-key': key } = c.req.valid('header');
    const job = await submit(c, services, {
      ...prepare(c, services, inference, inferenceInput(request)),
      idempotency: await idempotencyOf(c, key, request),
    });
    const head: CompletionHead = {
      id: `chatcmpl-${job.jobId}`,
      created: Math.floor(Date.now() / 1000),
      model: request.model,
    };
    const waiting = new Waiting(c, services, job.jobId);
    const answering = answerSteps(services, c.get('user').id, job, waiting.signal);
    const usage = request.stream_options?.include_usage ?? false;
    return request.stream
      ? streamed(c, answering, { head, usage, waiting })
      : bufferedCompletion(c, answering, { head, waiting });
  });
}
