import { setTimeout as sleep } from 'node:timers/promises';
import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import { ApiError, RequestError } from '@warmwind/shared/client/http-errors';
import type { JobEventsOptions } from '@warmwind/shared/client/job-events';
import type { CommandInput } from '@warmwind/shared/client/submission';
import type { Job } from '@warmwind/shared/contract/jobs';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import { signToken } from '../../local/edge/testing.ts';

/** How long a client repeats a request while the answer is "unknown", ms. */
const ASK_WITHIN_MS = 120_000;
const ANSWER_WITHIN_MS = 10_000;
const ONCE = { attempts: 1 };
/** Statuses that leave the outcome of a submission unknown; 0: no answer. */
const UNKNOWN = [0, 502, 503, 504];

/** One submission, with its `Idempotency-Key` and its outcome. */
export type Ask = {
  user: string;
  kind: 'start' | 'stop' | 'inference' | 'retry';
  /** The desktop to stop, or the job to retry. */
  subject: string;
  key: string;
  body: Record<string, unknown>;
  outcome: 'asked' | 'acknowledged' | 'refused' | 'unknown';
  /** The status of the last answer. */
  status: number;
  code: string;
  /** Every job that was answered under the key; more than one is a violation. */
  jobIds: Set<string>;
  /** The desktop; for a start it is set by the acknowledgement. */
  containerId: string;
  /** How often the answer was "unknown". */
  unknowns: number;
};

/** The smallest possible desktop, with a lifetime of a day: none expires during a run. */
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

/** The edge's answer for a job: the job, or the status of the error (0: no answer). */
export type Look = Job | number;

/** A client of the edge's API that repeats a submission of unknown outcome with the same key. */
export class Client {
  readonly #url: string;
  readonly #edges = new Map<string, EdgeClient>();

  constructor(url: string) {
    this.#url = url;
  }

  /**
   * Submits until the outcome is known, for `ASK_WITHIN_MS` at most. Also repeats acknowledged submissions.
   */
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
        // An acknowledged submission keeps its outcome: the invariants report a refused repetition.
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

  /**
   * Cancels until the outcome is known.
   * @returns whether the run ended as cancelled; `undefined` when that stays unknown
   */
  async cancel(user: string, id: string, retryMs: () => number): Promise<boolean | undefined> {
    const deadline = Date.now() + ASK_WITHIN_MS;
    while (Date.now() < deadline) {
      const answer = await answerOf(this.#edge(user).cancelJob(id));
      if (!(answer instanceof RequestError)) return true;
      if (answer.status === 409) {
        // It has ended, perhaps by an earlier request whose answer was lost.
        const job = await this.job(user, id);
        if (typeof job !== 'number') return job.state === 'cancelled';
      }
      await sleep(retryMs());
    }
    return undefined;
  }

  /** Yields a job's events as they arrive; rejects when the stream is cut off or refused. */
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

  /** The HTTP client of a user, without retries of its own: the harness must see each answer. */
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
