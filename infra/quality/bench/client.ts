import { Agent, type OutgoingHttpHeaders, request } from 'node:http';
import { createEdgeClient, type JobQuery } from '@warmwind/shared/client/http';
import type { PageOf } from '@warmwind/shared/contract/answers';
import type { Job } from '@warmwind/shared/contract/jobs';
import { signToken } from '../../local/edge/testing.ts';

/**
 * Node's plain client with keep-alive, so that the edge is timed and not the client's handling of headers.
 */
const agent = new Agent({ keepAlive: true });
const START = { width: 1280, height: 720 };
let users = 0;

/** A `fetch` that records the time until the answer was read, ms. */
class TimedFetch {
  ms = 0;

  readonly fetch = (url: string, { method = 'GET', headers, body }: RequestInit): Promise<Response> =>
    new Promise((resolve, reject) => {
      const start = performance.now();
      const length = typeof body === 'string' ? { 'Content-Length': `${Buffer.byteLength(body)}` } : {};
      const sent = request(
        url,
        { method, agent, headers: { ...(headers as OutgoingHttpHeaders), ...length } },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => {
            this.ms = performance.now() - start;
            const { statusCode = 0 } = response;
            resolve(new Response(text, { status: statusCode }));
          });
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
}

/** The typed client of an edge over a timed `fetch`, without retries. */
function timedEdge(url: string, token: string) {
  const timed = new TimedFetch();
  const edge = createEdgeClient({ url, token, fetch: timed.fetch, retries: { attempts: 1 } });
  return { timed, edge };
}

/**
 * Sends a `POST /containers/start`.
 * @param keyed with a new `Idempotency-Key`
 * @returns how long it took, ms
 */
export async function submit(url: string, bearer: string, keyed = false): Promise<number> {
  const { timed, edge } = timedEdge(url, bearer);
  if (keyed) await edge.startContainer(START);
  else await edge.request('POST', '/containers/start', { body: START });
  return timed.ms;
}

/** Reads a page of the jobs. */
export async function readPage(
  url: string,
  bearer: string,
  query: JobQuery,
): Promise<{ ms: number; page: PageOf<Job> }> {
  const { timed, edge } = timedEdge(url, bearer);
  const page = await edge.listJobs(query);
  return { ms: timed.ms, page };
}

/**
 * Sends submissions, `inFlight` at once, as a new user so that no quota is reached.
 * @returns the time of each, ms, and the rate
 */
export async function round(
  url: string,
  { requests, inFlight, keyed }: { requests: number; inFlight: number; keyed?: boolean },
): Promise<{ times: number[]; perSecond: number }> {
  users += 1;
  const bearer = await signToken({ sub: `bench-${users}` });
  const times: number[] = [];
  let left = requests;
  const client = async () => {
    while (left-- > 0) times.push(await submit(url, bearer, keyed));
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, client));
  return { times, perSecond: (requests / (performance.now() - start)) * 1000 };
}

export const closeClient = (): void => agent.destroy();

/** Limits that no bench reaches. */
export const UNLIMITED = {
  RATE_LIMITS: '{"user":["1000000/s","1000000/min","1000000/h"],"containers.start":["1000000/s"]}',
  QUOTAS: '{"jobs":1000000,"desktops":10000}',
  MAX_WAITING: '1000000000',
};
