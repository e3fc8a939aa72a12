import { apiErrorOf, NetworkError, RequestError, RequestTimeoutError } from './http-errors.ts';
import { pause } from './pause.ts';
import { pauseBeforeRetry, RETRIES, type Retries } from './retries.ts';

/** Options of {@link Transport} and of `createEdgeClient`. */
export type TransportOptions = {
  /** The address of the edge; '' for the origin of the page. */
  url: string;
  /** An API token, or a function that returns one for each request. Default: no token. */
  token?: string | (() => string | Promise<string>);
  /** Time-out of each request, ms. Default: 15,000. */
  timeoutMs?: number;
  /** How failed calls are retried. */
  retries?: Partial<Retries>;
  /** Sends the requests. Default: the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
};

/** Options of every call. */
export type CallOptions = {
  /** Ends the call, which rejects with the reason of the signal. */
  signal?: AbortSignal | undefined;
  /** Time-out of each request of the call, ms. Default: the client's. */
  timeoutMs?: number;
  /** Overrides the client's retries. */
  retries?: Partial<Retries>;
};

/** Query parameters. An undefined parameter is omitted, one with several values is repeated. */
export type Query = Record<string, string | number | readonly string[] | undefined>;

/** Options of a request to any route. */
export type RequestOptions = CallOptions & {
  /** Query parameters of the path. */
  query?: Query;
  /** The body, sent as JSON. */
  body?: unknown;
  /** The body, sent as it is; a request with a stream is never retried. */
  content?: BodyInit;
  /** Further headers. */
  headers?: Record<string, string>;
  /** May the request be retried? Default: true for `GET` and `HEAD`, and with an `Idempotency-Key`. */
  repeatable?: boolean;
};

const TIMEOUT_MS = 15_000;

/** Sends requests with a token, a time-out and retries. Every failure is a {@link RequestError}. */
export class Transport {
  /** Time-out of a request unless its call sets another, ms. */
  readonly timeoutMs: number;
  readonly #url: string;
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#url = options.url.replace(/\/+$/, '');
    this.timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#options = options;
  }

  /**
   * Sends a request, and retries it within the bounds of the retries.
   *
   * @param read reads a successful response; a connection that fails meanwhile is a failure of the request
   * @throws RequestError when the last attempt failed
   * @throws the reason of the signal when it aborts
   */
  async send<T>(
    method: string,
    path: string,
    options: RequestOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const { signal, repeatable = isRepeatable(method, options) } = options;
    const timeoutMs = options.timeoutMs ?? this.timeoutMs;
    const retries = { ...RETRIES, ...this.#options.retries, ...options.retries };
    const content = contentOf(options);
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const timeout = AbortSignal.timeout(timeoutMs);
      const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
      try {
        const headers = { ...(await this.#headers(options)), ...options.headers };
        return await this.#fetch(path, options.query, { method, headers, ...content, signal: either }, read);
      } catch (error) {
        signal?.throwIfAborted();
        const failure = timeout.aborted && !isResponse(error) ? new RequestTimeoutError(timeoutMs) : error;
        const pauseMs = pauseBeforeRetry(failure, attempt, retries, repeatable);
        if (pauseMs === undefined) throw failure;
        await pause(pauseMs, signal);
      }
    }
  }

  /**
   * Opens a streaming response, without retries. Only its signal bounds its duration.
   *
   * @throws RequestError when the edge refuses or does not respond
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
      if (!response.ok && response.status !== 304) throw await apiErrorOf(response);
      return await read(response);
    } catch (error) {
      if (error instanceof RequestError) throw error;
      const message = "The server can't be reached. Check the connection and try again.";
      throw new NetworkError(message, { cause: error });
    }
  }

  async #headers({ body }: { body?: unknown }): Promise<Record<string, string>> {
    const { token } = this.#options;
    const bearer = typeof token === 'function' ? await token() : token;
    return {
      ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    };
  }
}

/** The body of a request. A stream can't be read before it is sent completely, which `fetch` wants confirmed. */
function contentOf({ body, content }: RequestOptions): RequestInit {
  if (content instanceof ReadableStream) return { body: content, duplex: 'half' } as RequestInit;
  if (content !== undefined) return { body: content };
  return body === undefined ? {} : { body: JSON.stringify(body) };
}

const isRepeatable = (method: string, { headers = {} }: RequestOptions): boolean =>
  method === 'GET' || method === 'HEAD' || 'Idempotency-Key' in headers;

const isResponse = (error: unknown): boolean =>
  error instanceof RequestError && !(error instanceof NetworkError);

/** @returns the query string of the parameters that are defined */
function searchOf(query: Query = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => [name, String(one)]),
  );
  return given.length === 0 ? '' : `?${new URLSearchParams(given)}`;
}
