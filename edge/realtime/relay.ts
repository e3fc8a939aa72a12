import { ApiError, type ErrorBody, type ErrorCode } from '@warmwind/shared/errors';
import { isTerminal, Job } from '@warmwind/shared/jobs';
import { jobEndPath, jobEventsPath } from '@warmwind/shared/realtime';
import type { Config } from '../config.ts';
import { createTickets, type SignedTicket, type TicketLifetime } from './ticket.ts';

/** How long the relay may take to begin an answer, ms. */
const CONNECT_MS = 3000;
/** How long a ticket is good that the edge uses itself, seconds. */
const TICKET_SECONDS = 60;

type Asking = {
  method?: 'GET' | 'DELETE';
  signal: AbortSignal;
  headers?: Record<string, string>;
  lifetime?: TicketLifetime;
};

/**
 * The relay over HTTP, on behalf of one user at a time. Nothing is tried twice. The runtime itself gives up what is asked
 * here when the client of the request has gone.
 */
export class Relay {
  readonly #url: string;
  readonly #sign: (claims: { sub: string; mode: 'view' }, lifetime: TicketLifetime) => Promise<SignedTicket>;

  constructor({ RELAY_URL, RELAY_INTERNAL_URL = RELAY_URL, AUTH_SECRET }: Config) {
    this.#url = RELAY_INTERNAL_URL.replace(/^ws/, 'http');
    this.#sign = createTickets(AUTH_SECRET);
  }

  /**
   * A job's log as server-sent events. Only the beginning of the answer is bounded in time: the stream is its reader's,
   * and ends with it, or with its ticket. Rejects when the relay can't be reached.
   * @param lifetime of the ticket
   */
  async events(
    user: string,
    jobId: string,
    lastEventId: string | undefined,
    lifetime: TicketLifetime,
  ): Promise<Response> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), CONNECT_MS);
    const resume: Record<string, string> = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
    try {
      return await this.#ask(user, jobEventsPath(jobId), {
        signal: late.signal,
        headers: resume,
        lifetime,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The job as soon as it has ended, `undefined` when it has not within `waitMs` or the relay can't tell. */
  async ended(user: string, jobId: string, waitMs: number): Promise<Job | undefined> {
    const signal = AbortSignal.timeout(waitMs + CONNECT_MS);
    try {
      const response = await this.#ask(user, jobEndPath(jobId, waitMs), { signal });
      if (response.status !== 200) {
        await response.body?.cancel();
        return undefined;
      }
      const { data } = Job.safeParse(await response.json());
      return data && isTerminal(data.state) ? data : undefined;
    } catch {
      return undefined;
    }
  }

  /** What the relay says to something that it answers at once; its refusals are thrown. @param withinMs for all of it */
  async answer(
    user: string,
    path: string,
    { method = 'GET', withinMs = CONNECT_MS }: { method?: 'GET' | 'DELETE'; withinMs?: number } = {},
  ): Promise<Response> {
    const response = await this.#ask(user, path, { method, signal: AbortSignal.timeout(withinMs) });
    if (response.ok) return response;
    throw await refusalOf(response);
  }

  async #ask(
    user: string,
    path: string,
    { method = 'GET', signal, headers = {}, lifetime = { ttlSeconds: TICKET_SECONDS } }: Asking,
  ): Promise<Response> {
    const { token } = await this.#sign({ sub: user, mode: 'view' }, lifetime);
    const Authorization = `Bearer ${token}`;
    const init = { method, headers: { ...headers, Authorization }, redirect: 'manual', signal } as const;
    return fetch(this.#url + path, init);
  }
}

/** Refusals that are the caller's business, as they are; all else is between the edge and the relay. */
const PASSED_ON: readonly ErrorCode[] = [
  'not_found',
  'conflict',
  'rate_limited',
  'quota_exceeded',
  'upstream_timeout',
];

/** Why the relay refused, as the caller may see it, or an error that only we may. */
export async function refusalOf(response: Response): Promise<Error> {
  const body = (await response.json().catch(() => ({}))) as Partial<ErrorBody>;
  const { code, message, limit, used, retryAfterMs } = body;
  if (code === undefined || !PASSED_ON.includes(code))
    return new Error(`the relay answered ${response.status}`);
  const quota = limit === undefined || used === undefined ? {} : { limit, used };
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new ApiError(code, String(message), { ...quota, ...retry });
}
