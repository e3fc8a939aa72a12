import { apiErrorOf, NetworkError, RequestError, RequestTimeoutError } from './http-errors.ts';
import { pause } from './pause.ts';
import { pauseBeforeRetry, RETRIES, type Retries } from './retries.ts';

export type TransportOptions = {
  /** Of the edge; '' is the origin of the page. */
  url: string;
  /** A token of the API, or a function that finds one for each request. */
  token?: string | (() => string | Promise<string>);
  /** How long an answer may take, ms; default 15 s. */
  timeoutMs?: number;
  retries?: Partial<Retries>;
  /** Sends the requests; the global `fetch` if left out. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
};

/** What every call takes. */
export type CallOptions = {
  /** Ends the call, which rejects with the reason of the signal. */
  signal?: AbortSignal | undefined;
  /** How long each answer may take, ms; default: the client's. */
  timeoutMs?: number;
  /** In place of the client's. */
  retries?: Partial<Retries>;
};

export type Query = Record<string, string | number | undefined>;

export type RequestOptions = CallOptions & {
  query?: Query;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  /** May it be carried out twice? Default: for `GET` and `HEAD`, and with an `Idempotency-Key`. */
  repeatable?: boolean;
};

const TIMEOUT_MS = 15_000;

/** Requests with a token, a time-out and retries. Every failure is a {@link RequestError}. */
export class Transport {
  /** How long an answer may take unless a call says otherwise, ms. */
  readonly timeoutMs: number;
  readonly #url: string;
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#url = options.url.replace(/\/+$/, '');
    this.timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#options = options;
  }

  /**
   * Sends a request until it is answered, within the bounds of the retries.
   *
   * @param read takes what it needs of a successful answer; a connection that breaks meanwhile is a failure of the request
   * @throws RequestError when the last attempt failed
   */
  async send<T>(
    method: string,
    path: string,
    options: RequestOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const { signal, body, repeatable = isRepeatable(method, options) } = options;
    const timeoutMs = options.timeoutMs ?? this.timeoutMs;
    const retries = { ...RETRIES, ...this.#options.retries, ...options.retries };
    const content = body === undefined ? {} : { body: JSON.stringify(body) };
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const timeout = AbortSignal.timeout(timeoutMs);
      const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
      try {
        const headers = { ...(await this.#headers(content)), ...options.headers };
        return await this.#fetch(path, options.query, { method, headers, ...content, signal: either }, read);
      } catch (error) {
        signal?.throwIfAborted();
        const failure = timeout.aborted && !isAnswer(error) ? new RequestTimeoutError(timeoutMs) : error;
        const pauseMs = pauseBeforeRetry(failure, attempt, retries, repeatable);
        if (pauseMs === undefined) throw failure;
        await pause(pauseMs, signal);
      }
    }
  }

  /**
   * Opens an answer that is read as it comes, once: it has no time-out but its signal.
   *
   * @throws RequestError when it was refused or not answered
   */
  async open(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const init = { headers: { ...(await this.#headers({})), ...headers }, signal };
    return this.#fetch(path, undefined, init, async (response) => response);
  }

  async #fetch<T>(
    path: string,
    query: Query | undefined,
    init: RequestInit,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const send = this.#options.fetch ?? fetch;
    try {
      const response = await send(this.#url + path + searchOf(query), init);
      if (!response.ok) throw await apiErrorOf(response);
      return await read(response);
    } catch (error) {
      if (error instanceof RequestError) throw error;
      const message = "The server can't be reached. Check the connection and try again.";
      throw new NetworkError(message, { cause: error });
    }
  }

  async #headers(content: { body?: string }): Promise<Record<string, string>> {
    const { token } = this.#options;
    const bearer = typeof token === 'function' ? await token() : token;
    return {
      ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }),
      ...(content.body === undefined ? {} : { 'Content-Type': 'application/json' }),
    };
  }
}

const isRepeatable = (method: string, { headers = {} }: RequestOptions): boolean =>
  method === 'GET' || method === 'HEAD' || 'Idempotency-Key' in headers;

const isAnswer = (error: unknown): boolean =>
  error instanceof RequestError && !(error instanceof NetworkError);

/** Parameters that are left out stay out. */
function searchOf(query: Query = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}
