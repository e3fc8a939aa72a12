import { ApiError } from '@warmwind/shared/contract/errors';
import { newId } from '@warmwind/shared/contract/ids';
import type { ExecutionContext } from 'hono';
import { createApp } from './app.ts';
import { readConfig } from './config.ts';
import type { App } from './env.ts';
import { log } from './http/log.ts';

/**
 * One app for all requests of an isolate. The first request creates it: parts of it can't be created outside
 * of a request.
 */
const apps = new WeakMap<object, App>();

export default {
  async fetch(request: Request, env: object, context: ExecutionContext): Promise<Response> {
    let app = apps.get(env);
    if (!app) {
      try {
        app = createApp(readConfig({ ...env }));
      } catch (error) {
        return misconfigured(error);
      }
      apps.set(env, app);
    }
    return app.fetch(request, env, context);
  },
};

function misconfigured(error: unknown): Response {
  const requestId = newId();
  log.error('misconfigured', { requestId, error: error instanceof Error ? error.message : String(error) });
  const answer = new ApiError('internal', 'This deployment is misconfigured: contact its operator.');
  return Response.json(answer.body(requestId), {
    status: answer.status,
    headers: { 'X-Request-Id': requestId },
  });
}
