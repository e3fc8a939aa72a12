import { Agent, type OutgoingHttpHeaders, request } from 'node:http';
import { createEdgeClient, type JobQuery } from '@warmwind/shared/client/http';
import type { PageOf } from '@warmwind/shared/contract/answers';
import type { Job } from '@warmwind/shared/contract/jobs';
import { signToken } from '../../local/edge/testing.ts';

/** Node's plain client on kept connections: what is timed is the edge, not the client's own handling of headers. */
const agent = new Agent({ keepAlive: true });
const START = { width: 1280, height: 720 };
let users = 0;

/** Sends a request and keeps how long its answer took to be read, ms. */
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

/** An edge by its typed client, over a connection of its own kind; each answer counts. */
function timedEdge(url: string, token: string) {
  const timed = new TimedFetch();
  const edge = createEdgeClient({ url, token, fetch: timed.fetch, retries: { attempts: 1 } });
  return { timed, edge };
}

/** `POST /containers/start` by this bearer; `keyed`: with an `Idempotency-Key` never used before. → ms */
export async function submit(url: string, bearer: string, keyed = false): Promise<number> {
  const { timed, edge } = timedEdge(url, bearer);
  if (keyed) await edge.startContainer(START);
  else await edge.request('POST', '/containers/start', { body: START });
  return timed.ms;
}

/** A page of the jobs. */
export async function readPage(
  url: string,
  bearer: string,
  query: JobQuery,
): Promise<{ ms: number; page: PageOf<Job> }> {
  const { timed, edge } = timedEdge(url, bearer);
  const page = await edge.listJobs(query);
  return { ms: timed.ms, page };
}

/** Submissions, `inFlight` at once, by a new user so that no quota fills. → ms of each */
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

/** Limits that a bench does not meet. */
export const UNLIMITED = {
  RATE_LIMITS: '{"user":["1000000/s","1000000/min","1000000/h"],"containers.start":["1000000/s"]}',
  QUOTAS: '{"jobs":1000000,"desktops":10000}',
  MAX_WAITING: '1000000000',
};
