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
/** Of the tightest tier, then of all. */
const LIMITED_ANSWER = {
  'X-RateLimit-Limit': tier('Requests that the tightest tier allows.'),
  'X-RateLimit-Remaining': tier('How many of them are left.'),
  'X-RateLimit-Reset': tier('When there are more, epoch seconds.'),
  'RateLimit-Policy': header('All tiers, as the IETF draft writes them.'),
  RateLimit: header('What is left of each.'),
};
const HEADERS = { ...EVERY_ANSWER, ...LIMITED_ANSWER };

const referred = (headers: object): Headers =>
  Object.fromEntries(Object.keys(headers).map((name) => [name, { $ref: `#/components/headers/${name}` }]));

/** What has a token counts, but for the look at what is left; what has none counts against its address. */
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
      responses: { '2XX': { description: 'Received. Any other answer is followed by another try.' } },
    },
  },
};

/** The OpenAPI 3.1 document: what routes say of themselves, and the headers that all answers, or all limited ones, have. */
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
