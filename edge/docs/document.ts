import { anyEventSchema, eventSchemas, schemaRef } from '@warmwind/shared/contract/event-schemas';
import { WebhookEvent } from '@warmwind/shared/contract/webhook-events';
import type { App } from '../env.ts';
import { header } from '../http/openapi.ts';

type Headers = Record<string, unknown>;
type Operation = {
  operationId?: string;
  security?: unknown;
  responses: Record<string, { headers?: Headers }>;
};
type Info = { title: string; version: string; description: string };

const EVERY_ANSWER = { 'X-Request-Id': header('Names this request in our logs.') };

const tier = (description: string) => ({ description, schema: { type: 'integer' as const } });
/** The headers of a limited answer: of the tightest tier, then of all tiers. */
const LIMITED_ANSWER = {
  'X-RateLimit-Limit': tier('Requests that the tightest tier allows.'),
  'X-RateLimit-Remaining': tier('Requests left in that tier.'),
  'X-RateLimit-Reset': tier('When the tier gains requests, epoch seconds.'),
  'RateLimit-Policy': header('All tiers, in the form of the IETF draft.'),
  RateLimit: header('Requests left in each tier.'),
};
const HEADERS = { ...EVERY_ANSWER, ...LIMITED_ANSWER };

const referred = (headers: object): Headers =>
  Object.fromEntries(Object.keys(headers).map((name) => [name, { $ref: `#/components/headers/${name}` }]));

/** Whether an answer is limited: by user with a token, except `GET /limits`; by address without one. */
const isLimited = ({ security, operationId }: Operation, status: string): boolean =>
  security !== undefined && status !== '500' && (operationId !== 'getLimits' || status === '401');

/** The request that the owner of a job receives at the job's `webhookUrl`. */
const WEBHOOKS = {
  job: {
    post: {
      operationId: 'jobWebhook',
      summary: 'A run of a job was taken or ended',
      description: 'Sent to `webhookUrl` of the job, signed as Standard Webhooks by GET /webhooks/secret.',
      requestBody: { content: { 'application/json': { schema: { $ref: schemaRef('WebhookEvent') } } } },
      responses: { '2XX': { description: 'Received. After any other answer the request is sent again.' } },
    },
  },
};

/**
 * Builds the OpenAPI 3.1 document from the routes, and adds the headers of all answers and of limited ones.
 */
export function document(app: App, info: Info): object {
  const { paths = {}, components, ...rest } = app.getOpenAPI31Document({ openapi: '3.1.0', info });
  for (const operation of Object.values(paths).flatMap((path) => Object.values(path) as Operation[])) {
    for (const [status, response] of Object.entries(operation.responses)) {
      const limited = isLimited(operation, status);
      response.headers = {
        ...referred(EVERY_ANSWER),
        ...(limited ? referred(LIMITED_ANSWER) : {}),
        ...response.headers,
      };
    }
  }
  const schemas = {
    ...eventSchemas('draft-2020-12', { WebhookEvent }),
    ...components?.schemas,
    Event: anyEventSchema,
  };
  return { ...rest, paths, webhooks: WEBHOOKS, components: { ...components, schemas, headers: HEADERS } };
}
