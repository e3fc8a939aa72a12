import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import { ApiError } from '@warmwind/shared/client/http-errors';

/** An edge as its users reach it. A rate limit is waited for; a missing answer fails at once. */
export const clientOf = (url: string, token?: string): EdgeClient =>
  createEdgeClient({
    url,
    ...(token === undefined ? {} : { token }),
    retries: { attempts: 5, maxPauseMs: 60_000, unanswered: false },
  });

/** The routes that this version of the edge has, by its own description: `get /jobs/{id}/events`. */
export async function routesOf(edge: EdgeClient): Promise<Set<string>> {
  const { body } = await edge.request<{ paths?: Record<string, object> }>('GET', '/openapi.json');
  const paths = Object.entries(body.paths ?? {});
  return new Set(paths.flatMap(([path, methods]) => Object.keys(methods).map((m) => `${m} ${path}`)));
}

/**
 * Runs a request that must be refused.
 * @returns the refusal, `undefined` when it succeeds
 */
export const refusalOf = (call: Promise<unknown>): Promise<ApiError | undefined> =>
  call.then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof ApiError) return error;
      throw error;
    },
  );
