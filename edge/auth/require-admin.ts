import { ADMIN_ROLE } from '@warmwind/shared/contract/admin';
import { ApiError } from '@warmwind/shared/contract/errors';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../env.ts';

/** Refuses every token without the role. It follows the limiter, so that refusals are limited too. */
export const requireAdmin = createMiddleware<AppEnv>(async (c, next) => {
  if (c.get('user').role !== ADMIN_ROLE) {
    throw new ApiError(
      'admin_required',
      'This is for administrators: send a token whose claim `role` is `admin`.',
    );
  }
  await next();
});
