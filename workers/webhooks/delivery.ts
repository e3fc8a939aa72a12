import { OPERATORS, WEBHOOK_DEADLINE_MS, webhookSecret } from '@warmwind/shared/contract/webhook-target';
import { keys } from '@warmwind/shared/engine/keys';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { Records, WebhookSource } from '@warmwind/shared/engine/node/records';
import { WebhookData, webhookId } from '@warmwind/shared/engine/webhooks';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { DelayedError, type Job, type Processor, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { QueueWorker } from '../liveness/queue-worker.ts';
import type { Metrics } from '../metrics.ts';
import { AddressRefusedError, createCheckedLookup, type Resolve, resolvePublic } from './address.ts';
import { backoffMs, jitter, turnMs } from './backoff.ts';
import { DeliveryRecords, type TryOutcome } from './delivery-records.ts';
import { webhookEvent } from './event.ts';
import { InFlight } from './in-flight.ts';
import { post } from './post.ts';

/** Webhooks in flight: of this process, and of one user or to one receiver. */
const CONCURRENCY = 100;
const SHARE = 10;
/** Time that a receiver has to answer, DNS included, ms. */
const ANSWER_WITHIN_MS = 10_000;
/** Time that webhooks in flight have at shutdown, ms; then a peer sends them. */
const FINISH_WITHIN_MS = 2000;
/** Delay of a webhook of a later version, until a worker that can read it takes it, ms. */
const NEWER_VERSION_DELAY_MS = 5000;
/** Delay of a webhook whose job only the unavailable ledger has, ms. */
const LEDGER_UNAVAILABLE_DELAY_MS = 5000;

/** Time ends the tries of a webhook, not the number of workers that died. */
export const WEBHOOK_DEATHS = 1000;

export type DeliveryOptions = {
  /** The boot id of this process. */
  boot: string;
  /** A queueing connection to the queue Redis. */
  redis: Redis;
  records: Records;
  metrics: Metrics;
  log: Logger;
  /** `WEBHOOK_SECRET` */
  secret: string;
  /** CIDR ranges that webhooks may call although they are not public. */
  allow: string[];
  /** Address of the operators' alerts. It may be private, because operators set it. */
  alertUrl: string | undefined;
  resolve?: Resolve;
  giveUpMs?: number;
  answerWithinMs?: number;
  firstPauseMs?: number;
};

/** The reason why a webhook is dropped. */
type Dropped = 'forgotten' | 'refused' | 'gone' | 'given up' | 'cancelled';
/** The same, as their owners see them. */
const REASONS = {
  forgotten: 'forgotten',
  refused: 'address_refused',
  gone: 'gone',
  'given up': 'given_up',
} as const satisfies Partial<Record<Dropped, string>>;

/**
 * Sends the webhooks of the queue `webhooks`: at least once, each under one `Webhook-Id`, until the receiver
 * answers with 2xx or a day has passed. Every try sends the same event, made from the job's record.
 */
export class Delivery {
  readonly #o: DeliveryOptions;
  readonly #worker: QueueWorker;
  readonly #inFlight = new InFlight(SHARE);
  readonly #deliveries: DeliveryRecords;

  constructor(options: DeliveryOptions) {
    this.#o = options;
    const { boot, redis, log } = options;
    this.#deliveries = new DeliveryRecords(redis, log);
    const process: Processor = (job, token, signal) => this.#process(job, token ?? '', signal);
    this.#worker = new QueueWorker(boot, 'webhooks', process, {
      connection: redis,
      prefix: keys.bullmqPrefix('webhooks'),
      concurrency: CONCURRENCY,
      lockDuration: 2 * ANSWER_WITHIN_MS,
      stalledInterval: 5000,
      maxStalledCount: WEBHOOK_DEATHS,
      settings: {
        backoffStrategy: (attempts) => this.#pause(attempts, jitter()),
      },
    });
    this.#worker.on('error', (error) => log.warn({ queue: 'webhooks', err: error }, 'queue worker'));
  }

  start(): void {
    this.#worker.run().catch((error: unknown) => this.#worker.emit('error', error as Error));
  }

  /** Resolves when no webhook is in flight. A webhook that took too long waits for a peer. */
  async close(): Promise<void> {
    const closing = this.#worker.close();
    const timer = setTimeout(() => this.#worker.cancelAllJobs('shutdown'), FINISH_WITHIN_MS);
    await closing.finally(() => clearTimeout(timer));
  }

  async #process(job: Job, token: string, shutdown: AbortSignal | undefined): Promise<void> {
    const parsed = WebhookData.safeParse(job.data);
    if (!parsed.success) return this.#wait(job, token, NEWER_VERSION_DELAY_MS);
    const data = parsed.data;
    const { verdict, testUrl } = await this.#deliveries.begin(job, data);
    if (verdict === 'done') return;
    if (verdict === 'drop') return this.#drop(data, '', 'cancelled');
    const target = await this.#target(data, testUrl);
    if (target === 'unavailable') return this.#wait(job, token, LEDGER_UNAVAILABLE_DELAY_MS);
    const { url } = target;
    if (!url) return this.#fail(data, 'forgotten', { tried: false, host: '' });
    const leave = this.#inFlight.enter([`user ${signer(data)}`, `host ${new URL(url).host}`]);
    if (!leave) return this.#wait(job, token, turnMs(job));
    try {
      await this.#send(job, data, target, shutdown);
    } catch (error) {
      if (error instanceof UnrecoverableError || !shutdown?.aborted) throw error;
      await this.#wait(job, token, 0);
    } finally {
      leave();
    }
  }

  /** @returns `unavailable` when only the ledger has the job and it is unavailable */
  async #target(data: WebhookData, testUrl: string): Promise<WebhookSource | 'unavailable'> {
    if (data.about === 'test') return { url: testUrl, result: undefined, labels: undefined };
    if (data.about === 'alert') return { url: this.#o.alertUrl ?? '', result: undefined, labels: undefined };
    return this.#o.records.jobs.webhook(data).catch((error: unknown) => {
      if (error instanceof LedgerUnavailableError) return 'unavailable';
      throw error;
    });
  }

  /**
   * Sends a webhook once.
   * @throws UnrecoverableError to drop it, any other error to let BullMQ try again
   */
  async #send(
    job: Job,
    data: WebhookData,
    source: WebhookSource,
    shutdown: AbortSignal | undefined,
  ): Promise<void> {
    const { metrics, answerWithinMs = ANSWER_WITHIN_MS } = this.#o;
    const target = new URL(source.url);
    const timeout = AbortSignal.timeout(answerWithinMs);
    const signal = shutdown ? AbortSignal.any([shutdown, timeout]) : timeout;
    const body = JSON.stringify(webhookEvent(data, source));
    const { host } = target;
    let outcome: Omit<TryOutcome, 'state'>;
    try {
      const lookup = await this.#lookup(data, target, signal);
      const status = await post(target, body, await this.#signed(data, body), signal, lookup);
      outcome = { tried: true, host, status };
      if (status >= 200 && status < 300) {
        metrics.webhooks.inc({ outcome: 'delivered' });
        return await this.#deliveries.settle(data, { ...outcome, state: 'delivered' });
      }
    } catch (error) {
      if (shutdown?.aborted) throw error;
      if (error instanceof AddressRefusedError) return this.#fail(data, 'refused', { tried: false, host });
      const code = (error as NodeJS.ErrnoException).code ?? 'no answer';
      outcome = { tried: true, host, reason: timeout.aborted ? 'timeout' : code };
    }
    return this.#failed(job, data, outcome);
  }

  /**
   * Decides what follows a try that failed.
   * @throws UnrecoverableError when nothing does, any other error to let BullMQ try again
   */
  async #failed(job: Job, data: WebhookData, outcome: Omit<TryOutcome, 'state'>): Promise<never> {
    if (outcome.status === 410) return this.#fail(data, 'gone', outcome);
    const nextAt = Date.now() + this.#pause(job.attemptsMade + 1);
    const late = nextAt - job.timestamp > (this.#o.giveUpMs ?? WEBHOOK_DEADLINE_MS);
    if (late || data.about === 'test') return this.#fail(data, 'given up', outcome);
    this.#o.metrics.webhooks.inc({ outcome: 'retried' });
    await this.#deliveries.settle(data, { ...outcome, state: 'pending', nextAt });
    throw new Error(answerOf(outcome));
  }

  /** Checks the address of a user's receiver. That of the operators is not checked. */
  async #lookup({ about }: WebhookData, url: URL, signal: AbortSignal) {
    if (about === 'alert') return undefined;
    const { allow, resolve = resolvePublic } = this.#o;
    return createCheckedLookup(url, allow, resolve, signal);
  }

  async #signed(data: WebhookData, body: string): Promise<Record<string, string>> {
    const id = webhookId(data);
    const now = new Date();
    const secret = await webhookSecret(this.#o.secret, signer(data));
    return {
      'Webhook-Id': id,
      'Webhook-Timestamp': `${Math.floor(now.getTime() / 1000)}`,
      'Webhook-Signature': new Webhook(secret).sign(id, now, body),
    };
  }

  /** Records that a webhook failed, and drops it. */
  async #fail(
    data: WebhookData,
    why: keyof typeof REASONS,
    outcome: Omit<TryOutcome, 'state'>,
  ): Promise<never> {
    const reason =
      outcome.reason ?? (outcome.status === undefined || why === 'gone' ? REASONS[why] : undefined);
    await this.#deliveries.settle(data, { ...outcome, state: 'failed', reason });
    return this.#drop(data, outcome.host, why, why === 'given up' ? answerOf(outcome) : undefined);
  }

  /** Drops a webhook. The log names only the host of the receiver, because paths and queries hold secrets. */
  #drop(data: WebhookData, host: string, why: Dropped, answer?: string): never {
    const { log, metrics } = this.#o;
    metrics.webhooks.inc({ outcome: why === 'given up' ? 'given_up' : why });
    const of = data.about === 'test' ? { testId: data.testId } : { jobId: data.jobId, run: data.run };
    log.warn({ ...of, userId: data.userId, about: data.about, host, why, answer }, 'webhook dropped');
    throw new UnrecoverableError(answer ? `${why}: ${answer}` : why);
  }

  #pause(attempts: number, factor?: number): number {
    return backoffMs({ attempts, firstMs: this.#o.firstPauseMs, factor });
  }

  /** Requeues a webhook with a delay, without an attempt spent. */
  async #wait(job: Job, token: string, delayMs: number): Promise<never> {
    await job.moveToDelayed(Date.now() + delayMs, token);
    throw new DelayedError();
  }
}

const signer = ({ about, userId }: WebhookData): string => (about === 'alert' ? OPERATORS : userId);

/** Describes a try without success, for the log. */
const answerOf = ({ status, reason }: Omit<TryOutcome, 'state'>): string => {
  if (status !== undefined) return `answered ${status}`;
  return reason === 'timeout' ? 'no answer in time' : (reason ?? 'no answer');
};
