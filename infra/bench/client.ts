import { Agent, request } from 'node:http';
import { signToken } from '../edge/testing.ts';

/** Node's plain client on kept connections: what is timed is the edge, not the client's own handling of headers. */
const agent = new Agent({ keepAlive: true });
const START = '{"width":1280,"height":720}';
let users = 0;

type Call = { url: string; method: string; headers: Record<string, string>; body?: string; expect: number };

/** One request. → ms until its answer was read, and the answer */
function call({ url, method, headers, body, expect }: Call): Promise<{ ms: number; text: string }> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const sent = request(url, { method, agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const ms = performance.now() - start;
        if (response.statusCode === expect) resolve({ ms, text });
        else reject(new Error(`${method} ${url} answered ${response.statusCode}: ${text.slice(0, 300)}`));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** `POST /containers/start` by this bearer; `keyed`: with an `Idempotency-Key` never used before. → ms */
export async function submit(url: string, bearer: string, keyed = false): Promise<number> {
  const { ms } = await call({
    url: `${url}/containers/start`,
    method: 'POST',
    headers: {
      Authorization: `Bearer ${bearer}`,
      'Content-Type': 'application/json',
      'Content-Length': `${START.length}`,
      ...(keyed ? { 'Idempotency-Key': crypto.randomUUID() } : {}),
    },
    body: START,
    expect: 202,
  });
  return ms;
}

type Page = { items: { id: string; createdAt: string }[]; nextCursor: string | null };

/** `GET` of a list. */
export async function readPage(url: string, bearer: string): Promise<{ ms: number; page: Page }> {
  const headers = { Authorization: `Bearer ${bearer}` };
  const { ms, text } = await call({ url, method: 'GET', headers, expect: 200 });
  return { ms, page: JSON.parse(text) as Page };
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
