import { isTerminal, Job } from '@warmwind/shared/jobs';
import { jobEndPath, jobEventsPath } from '@warmwind/shared/realtime';
import type { Config } from '../config.ts';
import { createTickets, type SignedTicket } from './ticket.ts';

/** How long the relay may take to begin an answer, ms. */
const CONNECT_MS = 3000;
/** How long a ticket is good that the edge uses itself, seconds: the relay judges it at the beginning. */
const TICKET_SECONDS = 60;

/**
 * The relay over HTTP, on behalf of one user at a time. Nothing is tried twice. The runtime itself gives up what is asked
 * here when the client of the request has gone.
 */
export class Relay {
  readonly #url: string;
  readonly #sign: (claims: { sub: string; mode: 'view' }, ttlSeconds: number) => Promise<SignedTicket>;

  constructor({ RELAY_URL, AUTH_SECRET }: Config) {
    this.#url = RELAY_URL.replace(/^ws/, 'http');
    this.#sign = createTickets(AUTH_SECRET);
  }

  /**
   * A job's log as server-sent events. Only the beginning of the answer is bounded in time: the stream is its reader's,
   * and ends with it. Rejects when the relay can't be reached.
   */
  async events(user: string, jobId: string, lastEventId: string | undefined): Promise<Response> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), CONNECT_MS);
    const resume: Record<string, string> = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
    try {
      return await this.#get(user, jobEventsPath(jobId), late.signal, resume);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The job as soon as it has ended, `undefined` when it has not within `waitMs` or the relay can't tell. */
  async ended(user: string, jobId: string, waitMs: number): Promise<Job | undefined> {
    const signal = AbortSignal.timeout(waitMs + CONNECT_MS);
    try {
      const response = await this.#get(user, jobEndPath(jobId, waitMs), signal);
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

  async #get(
    user: string,
    path: string,
    signal: AbortSignal,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const { token } = await this.#sign({ sub: user, mode: 'view' }, TICKET_SECONDS);
    const Authorization = `Bearer ${token}`;
    return fetch(this.#url + path, { headers: { ...headers, Authorization }, redirect: 'manual', signal });
  }
}
