import { z } from '@hono/zod-openapi';
import { AcceptedRetry } from '@warmwind/shared/contract/answers';
import { isId } from '@warmwind/shared/contract/ids';
import type { LimitScope } from '@warmwind/shared/contract/limits';
import { ACCEPTED_RETRY } from '../../docs/examples.ts';
import type { App } from '../../env.ts';
import { notFound } from '../../http/errors.ts';
import { json } from '../../http/openapi.ts';
import type { Services } from '../../services.ts';
import { submittingRoute } from '../submitting.ts';

const SCOPES: LimitScope[] = ['user'];

/** `POST /jobs/:id/retry` */
export function retryJobRoute(app: App, services: Services): void {
  submittingRoute(app, services, {
    route: {
      method: 'post',
      path: '/jobs/{id}/retry',
      operationId: 'retryJob',
      summary: 'Run a failed, cancelled or timed-out job again',
      description: 'A new `run` of the same job. A start gets a new desktop with the same settings.',
    },
    scopes: SCOPES,
    body: json(z.strictObject({}), 'Nothing.', {}),
    accepted: json(AcceptedRetry, 'Accepted.', ACCEPTED_RETRY),
    submission: (c) => {
      const jobId = c.req.param('id') ?? '';
      if (!isId(jobId)) throw notFound('job');
      return {
        action: 'retry',
        jobId,
        userId: c.get('user').id,
        requestId: c.get('requestId'),
        scopes: SCOPES,
        quotas: services.config.QUOTAS,
      };
    },
    answer: ({ jobId, run, containerId }) => ({ jobId, run, ...(containerId ? { containerId } : {}) }),
  });
}
