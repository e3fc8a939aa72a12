import { outcomeUnknown } from '@warmwind/shared/contract/call-refusal';
import { callPath } from '@warmwind/shared/contract/call-wire';
import type { CallCommand } from '@warmwind/shared/contract/command';
import { ApiError, type ErrorBody, type ErrorCode, isErrorCode } from '@warmwind/shared/contract/errors';
import { FILE_TRANSFER_MS } from '@warmwind/shared/contract/files';
import { isTerminal, Job } from '@warmwind/shared/contract/jobs';
import { jobEndPath, jobEventsPath, type TicketClaims } from '@warmwind/shared/contract/tickets';
import type { Config } from '../config.ts';
import { createTickets, type SignedTicket, type TicketLifetime } from './ticket.ts';

/** How long the relay may take to begin an answer, ms. */
const CONNECT_MS = 3000;
/** The lifetime of a ticket that the edge uses itself. */
const TICKET_LIFETIME: TicketLifetime = { ttlSeconds: 120 };
const VIEW = { mode: 'view' } as const;

type RelayRequest = {
  method?: 'GET' | 'HEAD' | 'DELETE' | 'POST' | 'PUT';
  signal: AbortSignal;
  headers?: Record<string, string>;
  body?: string | ReadableStream<Uint8Array>;
  lifetime?: TicketLifetime;
  claims?: Pick<TicketClaims, 'mode' | 'credential'>;
};

/** A call to the host of a container; the relay finds the host. */
export type RelayCall = {
  command: CallCommand;
  containerId: string;
  incarnation: number;
  /** Identifies the token of the request. */
  credential: string;
  /** The input, valid by the command's schema. */
  input: object;
  idempotencyKey?: string;
};

/** A transfer of a file; `path` is that of the request, with its query. */
export type RelayFile = {
  method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  path: string;
  incarnation: number;
  credential: string;
  body?: ReadableStream<Uint8Array> | null;
};

/**
 * Calls the relay over HTTP, on behalf of one user at a time. Nothing is retried. When the client of the
 * request disconnects, the runtime cancels the call.
 */
export class Relay {
  readonly #url: string;
  readonly #sign: (
    claims: Pick<TicketClaims, 'sub' | 'mode' | 'credential'>,
    lifetime: TicketLifetime,
  ) => Promise<SignedTicket>;

  constructor({ RELAY_URL, RELAY_INTERNAL_URL = RELAY_URL, AUTH_SECRET }: Config) {
    this.#url = RELAY_INTERNAL_URL.replace(/^ws/, 'http');
    this.#sign = createTickets(AUTH_SECRET);
  }

  /**
   * Opens a job's log as server-sent events. Only the start of the answer is bounded in time: the stream ends
   * with its reader or its ticket. Rejects when the relay can't be reached.
   * @param lifetime of the ticket
   */
  async events(
    user: string,
    jobId: string,
    lastEventId: string | undefined,
    lifetime: TicketLifetime,
  ): Promise<Response> {
    const connecting = new AbortController();
    const timer = setTimeout(() => connecting.abort(), CONNECT_MS);
    const resume: Record<string, string> = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
    try {
      return await this.#request(user, jobEventsPath(jobId), {
        signal: connecting.signal,
        headers: resume,
        lifetime,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Waits for the end of a job.
   * @returns the job; `undefined` when it has not ended within `waitMs`, or the relay fails
   */
  async ended(user: string, jobId: string, waitMs: number): Promise<Job | undefined> {
    const signal = AbortSignal.timeout(waitMs + CONNECT_MS);
    try {
      const response = await this.#request(user, jobEndPath(jobId, waitMs), { signal });
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

  /**
   * Requests an answer that the relay gives at once.
   * @param withinMs the time limit of the complete call, ms
   * @throws ApiError the refusal of the relay, if the caller may see it
   */
  async answer(
    user: string,
    path: string,
    { method = 'GET', withinMs = CONNECT_MS }: { method?: 'GET' | 'DELETE'; withinMs?: number } = {},
  ): Promise<Response> {
    const response = await this.#request(user, path, { method, signal: AbortSignal.timeout(withinMs) });
    if (response.ok) return response;
    throw await refusalOf(response);
  }

  /**
   * Sends a call to the host of a container. Resolves when the answer begins.
   * @throws ApiError the refusal of the relay or host, and `outcome_unknown` when a call with effects is not
   *   answered
   */
  async call(user: string, call: RelayCall): Promise<Response> {
    const { command, containerId, incarnation, credential, input, idempotencyKey } = call;
    const request = {
      method: 'POST',
      signal: AbortSignal.timeout(command.timeoutMs + CONNECT_MS),
      headers: {
        'Content-Type': 'application/json',
        'If-Match': `"${incarnation}"`,
        ...(idempotencyKey === undefined ? {} : { 'Idempotency-Key': idempotencyKey }),
      },
      body: JSON.stringify(input),
      claims: { mode: command.mode, credential },
    } as const;
    const lost = (error: unknown): never => {
      throw command.claims ? outcomeUnknown() : error;
    };
    const response = await this.#request(user, callPath(containerId, command.kind), request).catch(lost);
    if (response.ok || response.status === 304) return response;
    const refused = await refusalOf(response, isForCaller);
    // This may be the answer of a proxy that lost the relay, or of a relay that failed.
    throw refused instanceof ApiError ? refused : command.claims ? outcomeUnknown() : refused;
  }

  /**
   * Reads, writes or deletes a file of a container. Resolves when the answer begins; the body of a write is
   * passed on as it arrives.
   * @throws ApiError the refusal of the relay or host
   */
  async file(user: string, { method, path, incarnation, credential, body }: RelayFile): Promise<Response> {
    const response = await this.#request(user, path, {
      method,
      signal: AbortSignal.timeout(FILE_TRANSFER_MS),
      headers: { 'If-Match': `"${incarnation}"` },
      ...(body ? { body } : {}),
      claims: { mode: 'control', credential },
    });
    if (response.ok) return response;
    throw await refusalOf(response, isForCaller);
  }

  async #request(
    user: string,
    path: string,
    { method = 'GET', signal, headers = {}, body, lifetime = TICKET_LIFETIME, claims = VIEW }: RelayRequest,
  ): Promise<Response> {
    const { token } = await this.#sign({ sub: user, ...claims }, lifetime);
    const Authorization = `Bearer ${token}`;
    const content = body === undefined ? {} : { body };
    const init = { method, headers: { ...headers, Authorization }, redirect: 'manual', signal } as const;
    return fetch(this.#url + path, { ...init, ...content });
  }
}

/** Refusals that concern the caller and are passed on; all others are between the edge and the relay. */
const PASSED_ON: readonly ErrorCode[] = [
  'not_found',
  'conflict',
  'rate_limited',
  'quota_exceeded',
  'upstream_timeout',
];

const isPassedOn = (code: ErrorCode): boolean => PASSED_ON.includes(code);

/** Refusals that concern the edge itself, or mean that the relay failed. */
const EDGE_REFUSALS: readonly ErrorCode[] = [
  'unauthenticated',
  'forbidden',
  'method_not_allowed',
  'internal',
];
/** The refusal of a call by its host is passed on unchanged. */
const isForCaller = (code: ErrorCode): boolean => !EDGE_REFUSALS.includes(code);

/**
 * Reads the refusal of the relay.
 * @param isShown selects the codes that the caller may see
 * @returns the refusal for the caller, or an internal error
 */
export async function refusalOf(
  response: Response,
  isShown: (code: ErrorCode) => boolean = isPassedOn,
): Promise<Error> {
  const body = (await response.json().catch(() => ({}))) as Partial<ErrorBody>;
  const { code, message, issues, limit, used, retryAfterMs } = body;
  if (!isErrorCode(code) || !isShown(code)) return new Error(`the relay answered ${response.status}`);
  const quota = limit === undefined || used === undefined ? {} : { limit, used };
  const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new ApiError(code, String(message), { ...(issues ? { issues } : {}), ...quota, ...retry });
}
