import type { z } from 'zod';
import type { FleetHost, FleetHosts, UserLimitsRecord } from '../contract/admin.ts';
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
import type { Limits, UserLimits } from '../contract/limits.ts';
import { JOB_COMMANDS, type JobKind } from '../contract/registry.ts';
import type { Envelope } from '../contract/rooms.ts';
import type { Viewers } from '../contract/screen.ts';
import type { Ticket, TicketRequest } from '../contract/tickets.ts';
import type {
  DeliveryState,
  WebhookDelivery,
  WebhookQueued,
  WebhookTest,
} from '../contract/webhook-deliveries.ts';
import type { UsageDay } from '../engine/ledger/usage.ts';
import type { Health } from '../runtime/health.ts';
import { type CallMethods, callMethods } from './calls.ts';
import { type FileMethods, fileMethods } from './files.ts';
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

/** Selects a part of a list, the newest items first. */
export type PageQuery = {
  /** `nextCursor` of the page before. */
  cursor?: string;
  /** Items of a page, 1 to 100. Default: 20. */
  limit?: number;
  /** Only items created at this time or later, ISO 8601 with `Z` or an offset. */
  since?: string;
  /** Only items created before this time, ISO 8601 with `Z` or an offset. */
  until?: string;
};

/** Selects containers. */
export type ContainerQuery = PageQuery & {
  /** Only containers in this state. */
  state?: ContainerState;
  /** Only containers with this name. */
  name?: string;
  /** Only containers of this image. */
  image?: string;
  /** Only containers that were assigned to this host. */
  host?: string;
  /** Only containers with all of these labels, each as `key:value`. */
  label?: readonly string[];
};

/** Selects jobs. */
export type JobQuery = PageQuery & {
  /** Only jobs in this state. */
  state?: JobState;
  /** Only jobs of this kind. */
  kind?: JobKind;
  /** Only jobs with all of these labels, each as `key:value`. */
  label?: readonly string[];
};

/** Selects webhooks. */
export type DeliveryQuery = PageQuery & {
  /** Only webhooks in this state. */
  state?: DeliveryState;
  /** Only webhooks of this job. */
  jobId?: string;
};

/** A successful response, with its parsed body. */
export type Answer<T> = { status: number; headers: Headers; body: T };

/**
 * {@link HttpClient} with a method for each command and call, such as `startContainer` and `screenshot`, and with
 * those of files.
 */
export type EdgeClient = HttpClient & CommandMethods & CallMethods & FileMethods;

/**
 * Creates a client of the edge for Node, browsers and workerd. It depends on `fetch` alone.
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
  const commands = Object.fromEntries(methods) as CommandMethods;
  return Object.assign(client, commands, callMethods(transport), fileMethods(transport));
}

/**
 * The routes of the edge, one method for each, named by its operation id.
 *
 * Every method rejects with a `RequestError`: `ApiError` when the edge refuses, `NetworkError` when no
 * response arrives, `UnexpectedAnswerError` when the response is not of this API. When its signal aborts, it
 * rejects with the reason of the signal.
 */
export class HttpClient {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Submits a command of any kind.
   *
   * @returns the accepted job, and the containers that it creates
   *
   * @example
   * const { jobId, job } = await edge.command('inference', { model, prompt }, { waitMs: 10_000 });
   */
  async command<K extends JobKind>(
    kind: K,
    input: CommandInput<K>,
    options: SubmitOptions = {},
  ): Promise<Submission<K>> {
    const { method, path, body } = requestOf(kind, input as object);
    const { accepted, replayed, job } = await this.#submit(method, path, body, options);
    return { ...accepted, replayed, ...(job ? { job } : {}) } as Submission<K>;
  }

  /** Retries a job that failed, was cancelled or timed out, as a new run. */
  async retryJob(id: string, options: SubmitOptions = {}): Promise<AcceptedRetry & { job?: Job }> {
    const { accepted, job } = await this.#submit(
      'POST',
      `/jobs/${encodeURIComponent(id)}/retry`,
      {},
      options,
    );
    return { ...(accepted as AcceptedRetry), ...(job ? { job } : {}) };
  }

  /** Cancels a job. The request is not retried, because the edge refuses a second cancellation. */
  async cancelJob(id: string, options?: CallOptions): Promise<Accepted> {
    return (await this.request<Accepted>('DELETE', `/jobs/${encodeURIComponent(id)}`, options)).body;
  }

  /** Reads a job. */
  getJob(id: string, options?: CallOptions): Promise<Job> {
    return this.#get(`/jobs/${encodeURIComponent(id)}`, options);
  }

  /** Lists jobs, one page at a time. */
  listJobs(query: JobQuery = {}, options?: CallOptions): Promise<PageOf<Job>> {
    return this.#get('/jobs', { ...options, query });
  }

  /**
   * Iterates over all jobs of a list, and reads its pages as needed.
   *
   * @example
   * for await (const job of edge.eachJob({ state: 'failed' })) console.log(job.id);
   */
  eachJob(query: JobQuery = {}, options?: CallOptions): AsyncGenerator<Job, void> {
    return eachOf((cursor) => this.listJobs({ ...query, ...cursor }, options));
  }

  /**
   * Iterates over the events of a job, each once and in order, until its latest run has ended. An interrupted
   * stream continues after the last event.
   *
   * @example
   * for await (const event of edge.jobEvents(jobId)) {
   *   if (event.type === 'job.progress') console.log(event.data.percent);
   * }
   */
  jobEvents(id: string, options: JobEventsOptions = {}): AsyncGenerator<Envelope, void> {
    return readJobEvents(this.#transport, id, options);
  }

  /** Reads a container. */
  getContainer(id: string, options?: CallOptions): Promise<Container> {
    return this.#get(`/containers/${encodeURIComponent(id)}`, options);
  }

  /** Lists containers, one page at a time. */
  listContainers(query: ContainerQuery = {}, options?: CallOptions): Promise<PageOf<Container>> {
    return this.#get('/containers', { ...options, query });
  }

  /** Iterates over all containers of a list, and reads its pages as needed. */
  eachContainer(query: ContainerQuery = {}, options?: CallOptions): AsyncGenerator<Container, void> {
    return eachOf((cursor) => this.listContainers({ ...query, ...cursor }, options));
  }

  /** Lists the present viewers of a container, and the holder of control. */
  listViewers(containerId: string, options?: CallOptions): Promise<Viewers> {
    return this.#get(`/containers/${encodeURIComponent(containerId)}/viewers`, options);
  }

  /** Disconnects a viewer. It may reconnect until its ticket is revoked or expires. */
  async expelViewer(containerId: string, viewerId: string, options?: CallOptions): Promise<void> {
    const path = `/containers/${encodeURIComponent(containerId)}/viewers/${encodeURIComponent(viewerId)}`;
    await this.request('DELETE', path, options);
  }

  /**
   * Creates a ticket for the relay; with `containerId` a share link. The request for a share link is not
   * retried automatically, because each request creates one.
   */
  async createTicket(body: z.input<typeof TicketRequest> = {}, options?: CallOptions): Promise<Ticket> {
    const repeatable = body.containerId === undefined;
    return (await this.request<Ticket>('POST', '/realtime/token', { repeatable, ...options, body })).body;
  }

  /** Lists the valid share links. */
  listShareLinks(options?: CallOptions): Promise<ShareLinkList> {
    return this.#get('/realtime/tokens', options);
  }

  /** Revokes a ticket or share link, and closes its connections. */
  async revokeTicket(id: string, options?: CallOptions): Promise<void> {
    const path = `/realtime/tokens/${encodeURIComponent(id)}`;
    await this.request('DELETE', path, { repeatable: true, ...options });
  }

  /** Revokes all tickets and share links of the user, and closes their connections. */
  async revokeAllTickets(options?: CallOptions): Promise<void> {
    await this.request('DELETE', '/realtime/tokens', { repeatable: true, ...options });
  }

  /** Lists the models that are served now. */
  listModels(options?: CallOptions): Promise<Models> {
    return this.#get('/models', options);
  }

  /** Reads the rate limits and quotas of the user, and the used part of them. */
  getLimits(options?: CallOptions): Promise<Limits> {
    return this.#get('/limits', options);
  }

  /**
   * Reads the usage of the user by day.
   *
   * @param query the first and the last day, as YYYY-MM-DD in UTC
   */
  getUsage(
    query: { since?: string; until?: string } = {},
    options?: CallOptions,
  ): Promise<{ items: UsageDay[] }> {
    return this.#get('/usage', { ...options, query });
  }

  /** Lists the hosts of the fleet. Requires the role of an administrator. */
  listHosts(options?: CallOptions): Promise<FleetHosts> {
    return this.#get('/admin/hosts', options);
  }

  /** Drains a host: it takes no new containers. Requires the role of an administrator. */
  async drainHost(host: string, options?: CallOptions): Promise<FleetHost> {
    const path = `/admin/hosts/${encodeURIComponent(host)}/drain`;
    return (await this.request<FleetHost>('POST', path, { repeatable: true, ...options })).body;
  }

  /** Ends the drain of a host. Requires the role of an administrator. */
  async undrainHost(host: string, options?: CallOptions): Promise<void> {
    const path = `/admin/hosts/${encodeURIComponent(host)}/drain`;
    await this.request('DELETE', path, { repeatable: true, ...options });
  }

  /** Reads the limits of a user. Requires the role of an administrator. */
  getUserLimits(userId: string, options?: CallOptions): Promise<UserLimitsRecord> {
    return this.#get(`/admin/users/${encodeURIComponent(userId)}/limits`, options);
  }

  /** Sets the limits of a user that differ from those of the deployment. Requires the role of an administrator. */
  async setUserLimits(userId: string, limits: UserLimits, options?: CallOptions): Promise<UserLimitsRecord> {
    const path = `/admin/users/${encodeURIComponent(userId)}/limits`;
    const set = { repeatable: true, ...options, body: limits };
    return (await this.request<UserLimitsRecord>('PUT', path, set)).body;
  }

  /** Gives a user the limits of the deployment again. Requires the role of an administrator. */
  async removeUserLimits(userId: string, options?: CallOptions): Promise<void> {
    const path = `/admin/users/${encodeURIComponent(userId)}/limits`;
    await this.request('DELETE', path, { repeatable: true, ...options });
  }

  /** Reads the secret that signs the user's webhooks. */
  getWebhookSecret(options?: CallOptions): Promise<WebhookSecret> {
    return this.#get('/webhooks/secret', options);
  }

  /** Lists the user's webhooks and how their deliveries go, one page at a time. */
  listWebhookDeliveries(query: DeliveryQuery = {}, options?: CallOptions): Promise<PageOf<WebhookDelivery>> {
    return this.#get('/webhooks/deliveries', { ...options, query });
  }

  /** Reads how the delivery of a webhook goes. */
  getWebhookDelivery(id: string, options?: CallOptions): Promise<WebhookDelivery> {
    return this.#get(`/webhooks/deliveries/${encodeURIComponent(id)}`, options);
  }

  /** Sends a webhook again that was delivered, failed or was cancelled: the same id, the same content. */
  async resendWebhook(id: string, options?: CallOptions): Promise<WebhookQueued> {
    const path = `/webhooks/deliveries/${encodeURIComponent(id)}/resend`;
    return (await this.request<WebhookQueued>('POST', path, options)).body;
  }

  /** Cancels a webhook that is not delivered yet. */
  async cancelWebhook(id: string, options?: CallOptions): Promise<WebhookDelivery> {
    const path = `/webhooks/deliveries/${encodeURIComponent(id)}`;
    return (await this.request<WebhookDelivery>('DELETE', path, { repeatable: true, ...options })).body;
  }

  /** Sends a signed test to an address, once. */
  async testWebhook(body: WebhookTest, options?: CallOptions): Promise<WebhookQueued> {
    return (await this.request<WebhookQueued>('POST', '/webhooks/test', { ...options, body })).body;
  }

  /** Reads the liveness of the edge. */
  live(options?: CallOptions): Promise<Health> {
    return this.#get('/health/live', options);
  }

  /** Reads the readiness of the edge. */
  ready(options?: CallOptions): Promise<Health> {
    return this.#get('/health/ready', options);
  }

  /**
   * Sends a request to any route, for routes without a method here. The body is not checked against `T`.
   *
   * @param method the HTTP method, in capitals
   * @param path the path with its leading slash
   */
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
    // The body is not checked, so that fields of a later edge are accepted.
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
