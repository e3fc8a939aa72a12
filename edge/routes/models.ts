import { createRoute } from '@hono/zod-openapi';
import { Models } from '@warmwind/shared/contract/answers';
import { keys } from '@warmwind/shared/keys';
import { MODELS } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { failures, json, security } from '../http/openapi.ts';
import { noQuery } from '../http/query.ts';
import { limited } from '../limits/charge.ts';
import { needed } from '../redis/record.ts';
import type { Services } from '../services.ts';

/** Pairs of host and model that are looked at, at most. */
const MAX_SERVED = 10_000;

/** `GET /models` */
export function listModels(app: App, { limiter, redis }: Services): void {
  const route = createRoute({
    method: 'get',
    path: '/models',
    operationId: 'listModels',
    summary: 'The models that are served now',
    security,
    middleware: [limited(limiter, 'open'), noQuery] as const,
    responses: { 200: json(Models, 'By name.', MODELS), ...failures(400, 401, 429, 503) },
  });
  app.openapi(route, async (c) => {
    const hosts = await servedModels(redis);
    const items = [...hosts].map(([id, count]) => ({ id, hosts: count }));
    return c.json({ items: items.sort((a, b) => (a.id < b.id ? -1 : 1)) }, 200);
  });
}

/** The models that are served now → how many hosts do. */
export async function servedModels(redis: Services['redis']): Promise<Map<string, number>> {
  const alive = ['ZRANGEBYSCORE', keys.models(), `(${Date.now()}`, '+inf', 'LIMIT', '0', `${MAX_SERVED}`];
  const served = await needed(redis.exec<string[]>(alive as [string, ...string[]]));
  const hosts = new Map<string, number>();
  for (const pair of served) {
    const id = pair.slice(pair.indexOf(' ') + 1);
    hosts.set(id, (hosts.get(id) ?? 0) + 1);
  }
  return hosts;
}
