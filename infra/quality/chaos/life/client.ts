import { setTimeout as sleep } from 'node:timers/promises';
import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import { ApiError, RequestError } from '@warmwind/shared/client/http-errors';
import { isTerminal, type Job } from '@warmwind/shared/contract/jobs';
import type { JobKind } from '@warmwind/shared/contract/registry';
import { signToken } from '../../../local/edge/testing.ts';

const ONCE = { attempts: 1 };
const ANSWER_WITHIN_MS = 15_000;
/** How long an operation is repeated while its outcome is unknown, ms. */
const REPEAT_WITHIN_MS = 120_000;
const REPEAT_EVERY_MS = 250;
const POLL_EVERY_MS = 100;

/** How an operation ended; `status` is that of the last answer, 0 for none. */
export type Outcome<T = unknown> = { status: number; code: string; value?: T };

/** One user of the edge. Every operation is repeated under its key until its outcome is known. */
export class LifeClient {
  readonly user: string;
  readonly edge: EdgeClient;

  constructor(url: string, user: string) {
    this.user = user;
    const token = signToken({ sub: user, exp: Math.floor(Date.now() / 1000) + 86_400 });
    this.edge = createEdgeClient({ url, token: () => token, timeoutMs: ANSWER_WITHIN_MS, retries: ONCE });
  }

  /** Submits a job. @returns its id, and the container that it creates */
  submit(
    kind: JobKind,
    input: object,
    idempotencyKey: string,
  ): Promise<Outcome<{ jobId: string; containerId?: string }>> {
    return repeated(() => this.edge.command(kind, input as never, { idempotencyKey }));
  }

  /** Waits for the end of a job. @returns the job, `undefined` when it does not end in time */
  async ended(jobId: string): Promise<Job | undefined> {
    const deadline = Date.now() + REPEAT_WITHIN_MS;
    while (Date.now() < deadline) {
      const job = await this.edge.getJob(jobId).catch(ignoreRequestError);
      if (job && isTerminal(job.state)) return job;
      await sleep(POLL_EVERY_MS);
    }
    return undefined;
  }

  /** Submits a job and waits for its end. */
  async job(kind: JobKind, input: object, key: string): Promise<Outcome<Job>> {
    const { value, ...answer } = await this.submit(kind, input, key);
    if (!value) return answer;
    const job = await this.ended(value.jobId);
    return { ...answer, ...(job ? { value: job } : {}) };
  }

  /** Makes a call by its operation id. An outcome that stays unknown is a result. */
  call<T>(operationId: string, input: object, idempotencyKey: string): Promise<Outcome<T>> {
    type Methods = Record<string, (input: object, options: object) => Promise<T>>;
    const method = (this.edge as unknown as Methods)[operationId];
    if (!method) throw new Error(`the client has no ${operationId}`);
    return repeated(() => method(input, { idempotencyKey, timeoutMs: 2 * ANSWER_WITHIN_MS }));
  }

  /** Makes another request, which may be repeated. */
  request<T>(send: (edge: EdgeClient) => Promise<T>): Promise<Outcome<T>> {
    return repeated(() => send(this.edge));
  }
}

async function repeated<T>(send: () => Promise<T>): Promise<Outcome<T>> {
  const deadline = Date.now() + REPEAT_WITHIN_MS;
  for (;;) {
    try {
      return { status: 200, code: '', value: await send() };
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      const { status } = error;
      const code = error instanceof ApiError ? error.code : '';
      const again = status === 0 || status === 429 || (status >= 500 && code !== 'outcome_unknown');
      if (!again || Date.now() > deadline) return { status, code };
      await sleep(REPEAT_EVERY_MS);
    }
  }
}

function ignoreRequestError(error: unknown): undefined {
  if (!(error instanceof RequestError)) throw error;
}
