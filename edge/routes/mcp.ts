import { createRoute, z } from '@hono/zod-openapi';
import { SUPPORTED_PROTOCOL_VERSIONS } from '@modelcontextprotocol/sdk/types.js';
import { ApiError } from '@warmwind/shared/contract/errors';
import { findTool } from '@warmwind/shared/contract/tools';
import { isAllowedOrigin } from '@warmwind/shared/runtime/origins';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { App, AppEnv } from '../env.ts';
import { imageBody } from '../http/body.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { chargedAfterwards } from '../limits/charge.ts';
import { answerMessage } from '../mcp/server.ts';
import type { Services } from '../services.ts';

const Message = z
  .strictObject({
    jsonrpc: z.literal('2.0').describe('Version of JSON-RPC.'),
    id: z
      .union([z.string().max(200), z.number().int()])
      .optional()
      .describe('Of a request, by its client.'),
    method: z.string().min(1).max(200).describe('`initialize`, `tools/list`, `tools/call`, …'),
    params: z.looseObject({}).optional().describe('By the method.'),
  })
  .meta({ id: 'McpMessage' });

const Reply = z
  .object({
    jsonrpc: z.literal('2.0').describe('Version of JSON-RPC.'),
    id: z.union([z.string(), z.number()]).nullable().describe('Of the request.'),
    result: z.looseObject({}).optional().describe('By the method.'),
    error: z
      .object({ code: z.number().int().describe('Of JSON-RPC.'), message: z.string().describe('Why.') })
      .optional()
      .describe('Of the protocol; a tool that fails is a result with `isError`.'),
  })
  .meta({ id: 'McpReply' });

const Headers = z.object({
  'mcp-protocol-version': z
    .enum(SUPPORTED_PROTOCOL_VERSIONS as [string, ...string[]])
    .optional()
    .describe('The version that was negotiated by `initialize`.'),
});

/** Refuses pages of origins that are not configured: a page must not reach a local edge by another name. */
const knownOrigin = ({ config }: Services) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const origin = c.req.header('Origin');
    if (origin !== undefined && !isAllowedOrigin(origin, config.CORS_ORIGINS)) {
      throw new ApiError('forbidden', 'Pages of this origin may not call: add the origin to CORS_ORIGINS.');
    }
    await next();
  });

/** `POST /mcp`: the Model Context Protocol (Streamable HTTP), without sessions. */
export function mcpRoute(app: App, services: Services): void {
  const route = createRoute({
    method: 'post',
    path: '/mcp',
    operationId: 'mcp',
    summary: 'Use desktops as tools of a model',
    description:
      'A server of the Model Context Protocol over Streamable HTTP. A tool is limited as the route that it stands for.',
    security,
    middleware: [
      knownOrigin(services),
      chargedAfterwards(services.limiter, ['user']),
      noQuery,
      imageBody,
    ] as const,
    request: {
      headers: Headers,
      body: json(Message, 'One message.', { jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    },
    responses: {
      200: {
        ...json(Reply, 'The reply; a stream of events for a tool.', { jsonrpc: '2.0', id: 1, result: {} }),
      },
      202: { description: 'A notification was received.' },
      ...failures(400, 401, 403, 408, 413, 415, 429, 503),
    },
  });
  app.openapi(route, async (c: Context<AppEnv>) => {
    const message = c.req.valid('json' as never) as z.output<typeof Message>;
    const calls = message.method === 'tools/call' && findTool(message.params?.name) !== undefined;
    if (!calls) await c.get('chargeNow')?.();
    const answer = await answerMessage({ c, services, app }, message);
    // The route of the tool counts the request.
    if (calls && answer.status === 200) c.set('charged', true);
    return c.newResponse(answer.body, answer.status as 200, Object.fromEntries(answer.headers));
  });
}
