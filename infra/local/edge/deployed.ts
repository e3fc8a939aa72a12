import type { ExecutionContext } from 'hono';
import { Resource } from 'sst/resource';
import worker from '../../../edge/main.ts';

/** The links of `infra/cloud/edge.ts`, by their names in the edge's environment. */
type Links = Record<'AuthSecret' | 'AuthSecretPrevious' | 'WebhookSecret' | 'QueueToken', { value: string }> &
  Record<'LedgerDb' | 'LedgerReadDb', { connectionString: string }>;

const environments = new WeakMap<object, object>();

/** The edge on Cloudflare: the same Worker, which finds its secrets and databases as SST links them. */
export default {
  fetch(request: Request, env: object, context: ExecutionContext): Promise<Response> {
    let known = environments.get(env);
    if (!known) {
      const links = Resource as unknown as Links;
      known = {
        ...env,
        AUTH_SECRET: links.AuthSecret.value,
        AUTH_SECRET_PREVIOUS: links.AuthSecretPrevious.value,
        WEBHOOK_SECRET: links.WebhookSecret.value,
        UPSTASH_REDIS_REST_TOKEN: links.QueueToken.value,
        LEDGER_DB: links.LedgerDb,
        LEDGER_READ_DB: links.LedgerReadDb,
      };
      environments.set(env, known);
    }
    return worker.fetch(request, known, context);
  },
};
