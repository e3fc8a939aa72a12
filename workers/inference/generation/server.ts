import { ModelName } from '@warmwind/shared/contract/inference';
import OpenAI from 'openai';
import { z } from 'zod';
import { fetchBoundedLines } from './bounded-lines.ts';
import { readWaiting } from './gauges.ts';
import { Refusals } from './refusals.ts';

/** Time that a server has to answer a health check, ms. */
const POLL_TIMEOUT_MS = 1500;
const MAX_RESPONSE_BYTES = 2 ** 20;
/** Time for which an unavailable server counts as starting, ms. */
const STARTING_MS = 15_000;

const Models = z.object({ data: z.array(z.object({ id: z.string() })).max(1000) });

/** `loading`: the server reports it, or has been unavailable for less than `STARTING_MS`. */
export type ServerState = 'up' | 'loading' | 'down';

/** One OpenAI-compatible server, and its state at the last poll. */
export class ModelServer {
  readonly client: OpenAI;
  state: ServerState = 'loading';
  models: ReadonlySet<string> = new Set();
  /** Requests of this worker in flight. */
  inFlight = 0;
  /** Requests of all clients that wait in the server. */
  waiting = 0;
  readonly refusals = new Refusals();
  readonly #url: string;
  readonly #key: string | undefined;
  #lastUp = Date.now();

  /** @param url without path; `key` is sent as a bearer token */
  constructor(url: string, key: string | undefined) {
    this.#url = url;
    this.#key = key;
    this.client = new OpenAI({
      baseURL: `${url}/v1`,
      apiKey: key ?? 'none',
      organization: null,
      project: null,
      // BullMQ owns retries.
      maxRetries: 0,
      logLevel: 'off',
      fetch: fetchBoundedLines,
      fetchOptions: { redirect: 'error' },
    });
  }

  /** The requests ahead of a new one. */
  get load(): number {
    return this.waiting + this.inFlight;
  }

  takes(userId: string, maxWaiting: number): boolean {
    return this.waiting <= maxWaiting && this.refusals.allow(userId);
  }

  /** Updates the state of the server. Never rejects. */
  async poll(): Promise<void> {
    const [health, models, metrics] = await Promise.all(
      ['/health', '/v1/models', '/metrics'].map((path) => this.#get(path).catch(() => undefined)),
    );
    const served = models?.status === 200 ? parseModels(models.text) : undefined;
    // Some servers have no `/health`.
    const healthy = health?.status === 200 || health?.status === 404;
    this.waiting = metrics?.status === 200 ? readWaiting(metrics.text) : 0;
    if (healthy && served) {
      this.state = 'up';
      this.models = served;
      this.#lastUp = Date.now();
      return;
    }
    const loading = health?.status === 503 || (healthy && models?.status === 503);
    this.state = loading || Date.now() - this.#lastUp < STARTING_MS ? 'loading' : 'down';
  }

  async #get(path: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`${this.#url}${path}`, {
      headers: this.#key ? { Authorization: `Bearer ${this.#key}` } : {},
      redirect: 'error',
      signal: AbortSignal.timeout(POLL_TIMEOUT_MS),
    });
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response.body ?? []) {
      bytes += chunk.length;
      if (bytes > MAX_RESPONSE_BYTES) throw new Error('the response is too long');
      chunks.push(chunk);
    }
    return { status: response.status, text: Buffer.concat(chunks).toString() };
  }
}

/** Parses the models that the contract can name. @returns `undefined` for a malformed answer */
function parseModels(text: string): Set<string> | undefined {
  try {
    const ids = Models.parse(JSON.parse(text)).data.map(({ id }) => id);
    return new Set(ids.filter((id) => ModelName.safeParse(id).success));
  } catch {
    return undefined;
  }
}
