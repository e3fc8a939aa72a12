import type { z } from 'zod';
import type {
  Accepted,
  AcceptedRetry,
  Models,
  PageOf,
  ShareLinkList,
  WebhookSecret,
} from '../contract/answers.ts';
import type { Container, ContainerState } from '../contract/containers.ts';
import type { Job, JobState } from '../contract/jobs.ts';
import type { Limits } from '../contract/limits.ts';
import { JOB_COMMANDS, type JobKind } from '../contract/registry.ts';
import type { Envelope } from '../contract/rooms.ts';
import type { Viewers } from '../contract/screen.ts';
import type { Ticket, TicketRequest } from '../contract/tickets.ts';
import type { UsageDay } from '../engine/ledger/usage.ts';
import type { Health } from '../runtime/health.ts';
import { type CallMethods, callMethods } from './calls.ts';
import { UnexpectedAnswerError } from './http-errors.ts';
import { type JobEventsOptions, readJobEvents } from './job-events.ts';
import {
  type CommandInput,
  type CommandMethods,
  newIdempotencyKey,
  requestOf,
  type Submission,
  type SubmitOptions,
} from './submission.ts';
import {
  type CallOptions,
  type Query,
  type RequestOptions,
  Transport,
  type TransportOptions,
} from './transport.ts';

/** Which part of a list is read; times are ISO 8601. */
export type PageQuery = { cursor?: string; limit?: number; since?: string; until?: string };
export type ContainerQuery = PageQuery & { state?: ContainerState };
export type JobQuery = PageQuery & { state?: JobState; kind?: JobKind };

/** A successful answer. */
export type Answer<T> = { status: number; headers: Headers; body: T };

/** {@link HttpClient} with a method for each command: `startContainer`, `stopContainer`, `infer`, `screenshot`, … */
export type EdgeClient = HttpClient & CommandMethods & CallMethods;

/**
 * A client of the edge, for Node, browsers and workerd: it needs `fetch` alone.
 *
 * @example
 * const edge = createEdgeClient({ url: 'https://api.example.com', token });
 * const { containerId, jobId } = await edge.startContainer({ width: 1280, height: 720 });
 * for await (const { type } of edge.jobEvents(jobId)) console.log(type);
 * const picture = await edge.screenshot({ containerId, format: 'jpeg' });
 * await edge.stopContainer({ containerId });
 */
export function createEdgeClient(options: TransportOptions): EdgeClient {
  const transport = new Transport(options);
  const client = new HttpClient(transport);
  const methods = JOB_COMMANDS.map(({ kind, http }) => [
    http.operationId,
    (input: CommandInput<typeof kind>, submit?: SubmitOptions) => client.command(kind, input, submit),
  ]);
  return Object.assign(client, Object.fromEntries(methods) as CommandMethods, callMethods(transport));
}

/**
 * The routes of the edge, each a method by the name of its operation. A method rejects with a `RequestError`: `ApiError`
 * when the edge refuses, `NetworkError` when no answer comes; or with the reason of its signal.
 */
export class HttpClient {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Submits a command: answers with its job, and the containers that it creates. */
  async command<K extends JobKind>(
    kind: K,
    input: CommandInput<K>,
    options: SubmitOptions = {},
  ): Promise<Submission<K>> {
    const { method, path, body } = requestOf(kind, input as object);
    const { accepted, replayed, job } = await this.#submit(method, path, body, options);
    return { ...accepted, replayed, ...(job ? { job } : {}) } as Submission<K>;
  }

  /** Runs a job again that failed, was cancelled or timed out. */
  async retryJob(id: string, options: SubmitOptions = {}): Promise<AcceptedRetry & { job?: Job }> {
    const { accepted, job } = await this.#submit(
      'POST',
      `/jobs/${encodeURIComponent(id)}/retry`,
      {},
      options,
    );
    return { ...(accepted as AcceptedRetry), ...(job ? { job } : {}) };
  }

  /** Cancels a job. It is not sent again by itself: a second cancellation would be refused. */
  async cancelJob(id: string, options?: CallOptions): Promise<Accepted> {
    return (await this.request<Accepted>('DELETE', `/jobs/${encodeURIComponent(id)}`, options)).body;
  }

  getJob(id: string, options?: CallOptions): Promise<Job> {
    return this.#get(`/jobs/${encodeURIComponent(id)}`, options);
  }

  listJobs(query: JobQuery = {}, options?: CallOptions): Promise<PageOf<Job>> {
    return this.#get('/jobs', { ...options, query });
  }

  /** Every job of a list, read page by page. */
  eachJob(query: JobQuery = {}, options?: CallOptions): AsyncGenerator<Job, void> {
    return eachOf((cursor) => this.listJobs({ ...query, ...cursor }, options));
  }

  /** Follows a job until its latest run has ended, over streams that break off. */
  jobEvents(id: string, options: JobEventsOptions = {}): AsyncGenerator<Envelope, void> {
    return readJobEvents(this.#transport, id, options);
  }

  getContainer(id: string, options?: CallOptions): Promise<Container> {
    return this.#get(`/containers/${encodeURIComponent(id)}`, options);
  }

  listContainers(query: ContainerQuery = {}, options?: CallOptions): Promise<PageOf<Container>> {
    return this.#get('/containers', { ...options, query });
  }

  /** Every container of a list, read page by page. */
  eachContainer(query: ContainerQuery = {}, options?: CallOptions): AsyncGenerator<Container, void> {
    return eachOf((cursor) => this.listContainers({ ...query, ...cursor }, options));
  }

  listViewers(containerId: string, options?: CallOptions): Promise<Viewers> {
    return this.#get(`/containers/${encodeURIComponent(containerId)}/viewers`, options);
  }

  async expelViewer(containerId: string, viewerId: string, options?: CallOptions): Promise<void> {
    const path = `/containers/${encodeURIComponent(containerId)}/viewers/${encodeURIComponent(viewerId)}`;
    await this.request('DELETE', path, options);
  }

  /** A ticket for the relay; with `containerId` a share link. A share link is not asked for twice by itself. */
  async createTicket(body: z.input<typeof TicketRequest> = {}, options?: CallOptions): Promise<Ticket> {
    const repeatable = body.containerId === undefined;
    return (await this.request<Ticket>('POST', '/realtime/token', { repeatable, ...options, body })).body;
  }

  listShareLinks(options?: CallOptions): Promise<ShareLinkList> {
    return this.#get('/realtime/tokens', options);
  }

  async revokeTicket(id: string, options?: CallOptions): Promise<void> {
    const path = `/realtime/tokens/${encodeURIComponent(id)}`;
    await this.request('DELETE', path, { repeatable: true, ...options });
  }

  async revokeAllTickets(options?: CallOptions): Promise<void> {
    await this.request('DELETE', '/realtime/tokens', { repeatable: true, ...options });
  }

  listModels(options?: CallOptions): Promise<Models> {
    return this.#get('/models', options);
  }

  getLimits(options?: CallOptions): Promise<Limits> {
    return this.#get('/limits', options);
  }

  /** @param query the first and the last day, as YYYY-MM-DD */
  getUsage(
    query: { since?: string; until?: string } = {},
    options?: CallOptions,
  ): Promise<{ items: UsageDay[] }> {
    return this.#get('/usage', { ...options, query });
  }

  getWebhookSecret(options?: CallOptions): Promise<WebhookSecret> {
    return this.#get('/webhooks/secret', options);
  }

  live(options?: CallOptions): Promise<Health> {
    return this.#get('/health/live', options);
  }

  ready(options?: CallOptions): Promise<Health> {
    return this.#get('/health/ready', options);
  }

  /** Any route: for what has no method here. `T` is taken on trust. */
  request<T = unknown>(method: string, path: string, options: RequestOptions = {}): Promise<Answer<T>> {
    return this.#transport.send(method, path, options, (response) => readAnswer<T>(response));
  }

  async #get<T>(path: string, options?: CallOptions & { query?: Query }): Promise<T> {
    return (await this.request<T>('GET', path, options)).body;
  }

  async #submit(
    method: string,
    path: string,
    body: object,
    { idempotencyKey = newIdempotencyKey(), waitMs = 0, ...options }: SubmitOptions,
  ): Promise<{ accepted: Accepted; replayed: boolean; job?: Job }> {
    const seconds = Math.ceil(waitMs / 1000);
    const answer = await this.request<Accepted & Job>(method, path, {
      timeoutMs: this.#transport.timeoutMs + seconds * 1000,
      ...options,
      body,
      headers: { 'Idempotency-Key': idempotencyKey, ...(seconds > 0 ? { Prefer: `wait=${seconds}` } : {}) },
    });
    const replayed = answer.headers.get('Idempotent-Replayed') === 'true';
    if (answer.status !== 200) return { accepted: answer.body, replayed };
    const { id: jobId, run, containerId } = answer.body;
    return {
      accepted: { jobId, run, ...(containerId ? { containerId } : {}) } as Accepted,
      replayed,
      job: answer.body,
    };
  }
}

async function readAnswer<T>(response: Response): Promise<Answer<T>> {
  const { status, headers } = response;
  const text = await response.text();
  try {
    // Not checked: a client does not refuse what a later edge adds to an answer.
    const body: T = text === '' ? undefined : JSON.parse(text);
    return { status, headers, body };
  } catch {
    throw new UnexpectedAnswerError(status);
  }
}

async function* eachOf<T>(
  read: (cursor: { cursor?: string }) => Promise<PageOf<T>>,
): AsyncGenerator<T, void> {
  let cursor: string | null | undefined;
  do {
    const page = await read(cursor ? { cursor } : {});
    yield* page.items;
    cursor = page.nextCursor;
  } while (cursor);
}
