import { truncateText } from '@warmwind/shared/runtime/text';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../env.ts';
import { log } from './log.ts';

/** Logs one line for each request. The path is logged without its query, which may hold a secret. */
export const accessLog = createMiddleware<AppEnv>(async (c, next) => {
  const started = Date.now();
  await next();
  log.info('request', {
    requestId: c.get('requestId'),
    method: c.req.method,
    path: truncateText(c.req.path, 200),
    status: c.res.status,
    ms: Date.now() - started,
    userId: c.get('user')?.id,
    jobId: c.get('jobId'),
  });
});
