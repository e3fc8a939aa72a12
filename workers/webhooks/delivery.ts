import { OPERATORS, WEBHOOK_DEADLINE_MS, webhookSecret } from '@warmwind/shared/contract/webhook-target';
import { keys } from '@warmwind/shared/engine/keys';
import { LedgerUnavailableError } from '@warmwind/shared/engine/node/ledger';
import type { Records, WebhookSource } from '@warmwind/shared/engine/node/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { DelayedError, type Job, type Processor, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import { Webhook } from 'standardwebhooks';
import { QueueWorker } from '../liveness/queue-worker.ts';
import type { Metrics } from '../metrics.ts';
import { AddressRefusedError, createCheckedLookup, type Resolve, resolvePublic } from './address.ts';
import { WebhookData, webhookId } from './data.ts';
import { webhookEvent } from './event.ts';
import { InFlight } from './in-flight.ts';
import { post } from './post.ts';

/** Webhooks in flight: of this process, and of one user or to one receiver. */
const CONCURRENCY = 100;
const SHARE = 10;
/** Time that a receiver has to answer, DNS included, ms. */
const ANSWER_WITHIN_MS = 10_000;
/** The first pause, ms; each is twice the one before, up to the longest, ± jitter. */
const FIRST_PAUSE_MS = 5000;
const LONGEST_PAUSE_MS = 3 * 3_600_000;
const JITTER = 0.25;
/**
 * First wait of a webhook whose user or receiver has used its share, ms; it doubles each time, up to the
 * longest.
 */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 30_000;
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
type Dropped = 'forgotten' | 'refused' | 'gone' | 'given up';

/**
 * Sends the webhooks of the queue `webhooks`: at least once, each under one `Webhook-Id`, until the receiver
 * answers with 2xx or a day has passed. Every try sends the same event, made from the job's record.
 */
export class Delivery {
  readonly #o: DeliveryOptions;
  readonly #worker: QueueWorker;
  readonly #inFlight = new InFlight(SHARE);

  constructor(options: DeliveryOptions) {
    this.#o = options;
    const { boot, redis, log } = options;
    const process: Processor = (job, token, signal) => this.#process(job, token ?? '', signal);
    this.#worker = new QueueWorker(boot, 'webhooks', process, {
      connection: redis,
      prefix: keys.bullmqPrefix('webhooks'),
      concurrency: CONCURRENCY,
      lockDuration: 2 * ANSWER_WITHIN_MS,
      stalledInterval: 5000,
      maxStalledCount: WEBHOOK_DEATHS,
      settings: {
        backoffStrategy: (attempts) => this.#pause(attempts, 1 - JITTER + 2 * JITTER * Math.random()),
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
    const target = await this.#target(data);
    if (target === 'unavailable') return this.#wait(job, token, LEDGER_UNAVAILABLE_DELAY_MS);
    const { url } = target;
    if (!url) return this.#drop(data, '', 'forgotten');
    const leave = this.#inFlight.enter([`user ${signer(data)}`, `host ${new URL(url).host}`]);
    if (!leave) return this.#wait(job, token, this.#turn(job));
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
  async #target(data: WebhookData): Promise<WebhookSource | 'unavailable'> {
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
    let answer: string;
    try {
      const lookup = await this.#lookup(data, target, signal);
      const status = await post(target, body, await this.#signed(data, body), signal, lookup);
      if (status >= 200 && status < 300) {
        metrics.webhooks.inc({ outcome: 'delivered' });
        return;
      }
      if (status === 410) return this.#drop(data, target.host, 'gone');
      answer = `answered ${status}`;
    } catch (error) {
      if (error instanceof AddressRefusedError) return this.#drop(data, target.host, 'refused');
      if (error instanceof UnrecoverableError || shutdown?.aborted) throw error;
      answer = timeout.aborted ? 'no answer in time' : ((error as NodeJS.ErrnoException).code ?? 'no answer');
    }
    const next = Date.now() + this.#pause(job.attemptsMade + 1);
    if (next - job.timestamp > (this.#o.giveUpMs ?? WEBHOOK_DEADLINE_MS)) {
      return this.#drop(data, target.host, 'given up', answer);
    }
    metrics.webhooks.inc({ outcome: 'retried' });
    throw new Error(answer);
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

  /** Drops a webhook. The log names only the host of the receiver, because paths and queries hold secrets. */
  #drop({ jobId, userId, run, about }: WebhookData, host: string, why: Dropped, answer?: string): never {
    const { log, metrics } = this.#o;
    metrics.webhooks.inc({ outcome: why === 'given up' ? 'given_up' : why });
    log.warn({ jobId, userId, run, about, host, why, answer }, 'webhook dropped');
    throw new UnrecoverableError(answer ? `${why}: ${answer}` : why);
  }

  #pause(attempts: number, factor = 1): number {
    const { firstPauseMs = FIRST_PAUSE_MS } = this.#o;
    return Math.round(factor * Math.min(firstPauseMs * 2 ** (attempts - 1), LONGEST_PAUSE_MS));
  }

  /** Delay of a webhook whose share is used up, ms: longer each time, so that many of them cost little. */
  #turn(job: Job): number {
    const before = Math.max(0, job.attemptsStarted - job.attemptsMade - 1);
    return Math.min(FIRST_WAIT_MS * 2 ** before, LONGEST_WAIT_MS) * (0.5 + Math.random());
  }

  /** Requeues a webhook with a delay, without an attempt spent. */
  async #wait(job: Job, token: string, delayMs: number): Promise<never> {
    await job.moveToDelayed(Date.now() + delayMs, token);
    throw new DelayedError();
  }
}

const signer = ({ about, userId }: WebhookData): string => (about === 'alert' ? OPERATORS : userId);
