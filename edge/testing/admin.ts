import { signToken, type TestEdge } from '../../infra/local/edge/testing.ts';

/** Sends requests with the token of an administrator. */
export const asAdmin =
  (edge: () => TestEdge, sub = 'root') =>
  async (method: string, path: string, body?: unknown) => {
    const headers = { Authorization: `Bearer ${await signToken({ sub, role: 'admin' })}` };
    return edge().call(undefined, method, path, { headers, ...(body === undefined ? {} : { body }) });
  };
