import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from '@warmwind/shared/jobs';
import { signToken } from '../edge/testing.ts';

/** How long a client goes on asking while the answer is "unknown", ms. */
const ASK_WITHIN_MS = 120_000;
const ANSWER_WITHIN_MS = 10_000;

/** One submission, under its one `Idempotency-Key`, and what became of it. */
export type Ask = {
  user: string;
  kind: 'start' | 'stop' | 'inference' | 'retry';
  path: string;
  key: string;
  body: Record<string, unknown>;
  outcome: 'asked' | 'acknowledged' | 'refused' | 'unknown';
  /** The last answer's. */
  status: number;
  code: string;
  /** Every job that was ever answered under the key: one, if all is well. */
  jobIds: Set<string>;
  /** The desktop; of a start once it is acknowledged. */
  containerId: string;
  /** How often the answer was "unknown". */
  unknowns: number;
};

/** The smallest desktop there is, for a day: none ends by itself during a run. */
const DESKTOP = { width: 320, height: 240, ttlSeconds: 86_400, memoryMb: 128, cpus: 0.5 };

/** @param subject the desktop to stop, or the job to retry */
export const ask = (
  user: string,
  kind: Ask['kind'],
  key: string,
  subject = '',
  body: Record<string, unknown> = {},
): Ask => ({
  user,
  kind,
  path: {
    start: '/containers/start',
    stop: `/containers/${subject}/stop`,
    inference: '/inference',
    retry: `/jobs/${subject}/retry`,
  }[kind],
  key,
  body: kind === 'start' ? { ...DESKTOP, ...body } : body,
  outcome: 'asked',
  status: 0,
  code: '',
  jobIds: new Set(),
  containerId: kind === 'stop' ? subject : '',
  unknowns: 0,
});

/** A job as the edge shows it: the job, or the status of what it answered instead (0: nothing). */
export type Look = Job | number;

/** The edge's API as a patient client uses it: what is unknown is asked again with the same key. */
export class Client {
  readonly #url: string;
  readonly #tokens = new Map<string, Promise<string>>();

  constructor(url: string) {
    this.#url = url;
  }

  /** Submits until it is known what became of it, `ASK_WITHIN_MS` at most. Also for a repetition of what is known. */
  async submit(asked: Ask, retryMs: () => number): Promise<void> {
    const deadline = Date.now() + ASK_WITHIN_MS;
    for (;;) {
      const { status, body } = await this.#call(asked.user, 'POST', asked.path, asked);
      asked.status = status;
      asked.code = String(body.code ?? '');
      if (status === 202) {
        asked.jobIds.add(String(body.jobId));
        if (asked.kind === 'start') asked.containerId = String(body.containerId);
        asked.outcome = 'acknowledged';
        return;
      }
      if (status !== 0 && status !== 503 && status !== 504) {
        // What was acknowledged stays so: a repetition that is refused is for the judge.
        if (asked.outcome !== 'acknowledged') asked.outcome = 'refused';
        return;
      }
      asked.unknowns += 1;
      if (Date.now() > deadline) {
        if (asked.outcome !== 'acknowledged') asked.outcome = 'unknown';
        return;
      }
      await sleep(retryMs());
    }
  }

  async job(user: string, id: string): Promise<Look> {
    const { status, body } = await this.#call(user, 'GET', `/jobs/${id}`);
    return status === 200 ? (body as unknown as Job) : status;
  }

  /** Cancels until it is known what became of it. → did the run end by it? `undefined` when that stays unknown. */
  async cancel(user: string, id: string, retryMs: () => number): Promise<boolean | undefined> {
    const deadline = Date.now() + ASK_WITHIN_MS;
    while (Date.now() < deadline) {
      const { status } = await this.#call(user, 'DELETE', `/jobs/${id}`);
      if (status === 202) return true;
      if (status === 409) {
        // It has ended: perhaps by a try whose answer was lost.
        const job = await this.job(user, id);
        if (typeof job !== 'number') return job.state === 'cancelled';
      }
      await sleep(retryMs());
    }
    return undefined;
  }

  /** A job's events as they come; rejects with the status of another answer. */
  async events(user: string, id: string, after?: string): Promise<ReadableStream<Uint8Array>> {
    const headers = {
      Authorization: `Bearer ${await this.#token(user)}`,
      ...(after ? { 'Last-Event-ID': after } : {}),
    };
    const response = await fetch(`${this.#url}/jobs/${id}/events`, { headers });
    if (response.status === 200 && response.body) return response.body;
    await response.body?.cancel();
    throw new Error(`answered ${response.status}`);
  }

  async #call(
    user: string,
    method: string,
    path: string,
    asked?: Ask,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const headers = {
      Authorization: `Bearer ${await this.#token(user)}`,
      ...(asked ? { 'Idempotency-Key': asked.key, 'Content-Type': 'application/json' } : {}),
    };
    try {
      const response = await fetch(this.#url + path, {
        method,
        headers,
        ...(asked ? { body: JSON.stringify(asked.body) } : {}),
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
      });
      const text = await response.text();
      return { status: response.status, body: text ? (JSON.parse(text) as Record<string, unknown>) : {} };
    } catch {
      return { status: 0, body: {} };
    }
  }

  #token(user: string): Promise<string> {
    const known = this.#tokens.get(user);
    if (known) return known;
    const made = signToken({ sub: user, exp: Math.floor(Date.now() / 1000) + 86_400 });
    this.#tokens.set(user, made);
    return made;
  }
}
