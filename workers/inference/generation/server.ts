import { ModelName } from '@warmwind/shared/contract/inference';
import OpenAI from 'openai';
import { z } from 'zod';
import { fetchBoundedLines } from './bounded-lines.ts';
import { readWaiting } from './gauges.ts';
import { Refusals } from './refusals.ts';

/** How long a server may take to say how it is, ms. */
const ANSWER_WITHIN_MS = 1500;
const MAX_ANSWER_BYTES = 2 ** 20;
/** A server that was never there, or is gone, may be starting (again) for so long, ms. */
const STARTING_MS = 15_000;

const Models = z.object({ data: z.array(z.object({ id: z.string() })).max(1000) });

/** `loading`: it says so, or has not been away for long. */
export type ServerState = 'up' | 'loading' | 'down';

/** One OpenAI-compatible server, as it was when it was last asked. */
export class ModelServer {
  readonly client: OpenAI;
  state: ServerState = 'loading';
  models: ReadonlySet<string> = new Set();
  /** Requests of this worker that it answers now. */
  inFlight = 0;
  /** Requests that wait in it, of all its clients. */
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

  /** What stands before a new request. */
  get load(): number {
    return this.waiting + this.inFlight;
  }

  takes(userId: string, maxWaiting: number): boolean {
    return this.waiting <= maxWaiting && this.refusals.allow(userId);
  }

  /** Asks how it is. Never rejects. */
  async poll(): Promise<void> {
    const [health, models, metrics] = await Promise.all(
      ['/health', '/v1/models', '/metrics'].map((path) => this.#get(path).catch(() => undefined)),
    );
    const served = models?.status === 200 ? parseModels(models.text) : undefined;
    // Not all of them have a `/health`.
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
    const answer = await fetch(`${this.#url}${path}`, {
      headers: this.#key ? { Authorization: `Bearer ${this.#key}` } : {},
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of answer.body ?? []) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) throw new Error('too long an answer');
      chunks.push(chunk);
    }
    return { status: answer.status, text: Buffer.concat(chunks).toString() };
  }
}

/** Those that can be asked for; `undefined` when the server does not make sense. */
function parseModels(text: string): Set<string> | undefined {
  try {
    const ids = Models.parse(JSON.parse(text)).data.map(({ id }) => id);
    return new Set(ids.filter((id) => ModelName.safeParse(id).success));
  } catch {
    return undefined;
  }
}
