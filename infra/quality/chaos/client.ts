import { setTimeout as sleep } from 'node:timers/promises';
import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import { ApiError, RequestError } from '@warmwind/shared/client/http-errors';
import type { JobEventsOptions } from '@warmwind/shared/client/job-events';
import type { CommandInput } from '@warmwind/shared/client/submission';
import type { Job } from '@warmwind/shared/contract/jobs';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import { signToken } from '../../local/edge/testing.ts';

/** How long a client goes on asking while the answer is "unknown", ms. */
const ASK_WITHIN_MS = 120_000;
const ANSWER_WITHIN_MS = 10_000;
const ONCE = { attempts: 1 };
/** Answers that leave open what became of a submission; 0: none. */
const UNKNOWN = [0, 502, 503, 504];

/** One submission, under its one `Idempotency-Key`, and what became of it. */
export type Ask = {
  user: string;
  kind: 'start' | 'stop' | 'inference' | 'retry';
  /** The desktop to stop, or the job to retry. */
  subject: string;
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
  subject,
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
  readonly #edges = new Map<string, EdgeClient>();

  constructor(url: string) {
    this.#url = url;
  }

  /** Submits until it is known what became of it, `ASK_WITHIN_MS` at most. Also for a repetition of what is known. */
  async submit(asked: Ask, retryMs: () => number): Promise<void> {
    const deadline = Date.now() + ASK_WITHIN_MS;
    for (;;) {
      const answer = await answerOf(this.#send(asked));
      if (!(answer instanceof RequestError)) {
        asked.status = 202;
        asked.code = '';
        asked.jobIds.add(answer.jobId);
        if (asked.kind === 'start') asked.containerId = answer.containerId ?? '';
        asked.outcome = 'acknowledged';
        return;
      }
      asked.status = answer.status;
      asked.code = answer instanceof ApiError ? answer.code : '';
      if (!UNKNOWN.includes(answer.status)) {
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
    const answer = await answerOf(this.#edge(user).getJob(id));
    return answer instanceof RequestError ? answer.status : answer;
  }

  /** Cancels until it is known what became of it. → did the run end by it? `undefined` when that stays unknown. */
  async cancel(user: string, id: string, retryMs: () => number): Promise<boolean | undefined> {
    const deadline = Date.now() + ASK_WITHIN_MS;
    while (Date.now() < deadline) {
      const answer = await answerOf(this.#edge(user).cancelJob(id));
      if (!(answer instanceof RequestError)) return true;
      if (answer.status === 409) {
        // It has ended: perhaps by a try whose answer was lost.
        const job = await this.job(user, id);
        if (typeof job !== 'number') return job.state === 'cancelled';
      }
      await sleep(retryMs());
    }
    return undefined;
  }

  /** A job's events as they come; rejects when the stream is cut off, or refused. */
  events(user: string, id: string, options: JobEventsOptions): AsyncGenerator<Envelope, void> {
    return this.#edge(user).jobEvents(id, { ...options, retries: ONCE });
  }

  #send({ user, kind, subject, key, body }: Ask): Promise<{ jobId: string; containerId?: string }> {
    const edge = this.#edge(user);
    const options = { idempotencyKey: key };
    switch (kind) {
      case 'start':
        return edge.startContainer(body, options);
      case 'stop':
        return edge.stopContainer({ containerId: subject }, options);
      case 'inference':
        return edge.infer(body as CommandInput<'inference'>, options);
      case 'retry':
        return edge.retryJob(subject, options);
    }
  }

  /** Each answer counts: nothing is sent again unseen. */
  #edge(user: string): EdgeClient {
    const known = this.#edges.get(user);
    if (known) return known;
    const token = signToken({ sub: user, exp: Math.floor(Date.now() / 1000) + 86_400 });
    const options = { url: this.#url, token: () => token, timeoutMs: ANSWER_WITHIN_MS, retries: ONCE };
    const edge = createEdgeClient(options);
    this.#edges.set(user, edge);
    return edge;
  }
}

const answerOf = <T>(call: Promise<T>): Promise<T | RequestError> =>
  call.catch((error: unknown) => {
    if (error instanceof RequestError) return error;
    throw error;
  });
