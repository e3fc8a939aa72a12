import type { WaitReason } from '@warmwind/shared/contract/jobs';
import { HostResources } from '@warmwind/shared/contract/resources';
import { keys } from '@warmwind/shared/engine/keys';
import { type WaitingStart, WaitingStarts } from '@warmwind/shared/engine/node/waiting-starts';
import { jsonText } from '@warmwind/shared/runtime/json';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import type { JobContext } from '../runtime/delivery.ts';
import { type FailureCode, JobFailureError } from '../runtime/failures.ts';
import { RequeueError } from '../runtime/outcome.ts';
import type { Offer } from './offer.ts';
import { couldHold, mayHave, waitMessage } from './room.ts';

/** How long a start waits at most before a worker looks at it again, although no room became free, ms. */
const RECHECK_MS = 20_000;
/** A start that its deadline ends is delivered this long after it, ms. */
const AFTER_DEADLINE_MS = 20;

const PublishedResources = jsonText(HostResources);

/** A start as its wait needs it. */
export type Wanted = Pick<WaitingStart, 'vector' | 'image'>;

export type WaitsOptions = {
  /** A fail-fast connection to the queue Redis. */
  redis: Redis;
  waiting: WaitingStarts;
  offer: Offer;
  host: string;
  /** The longest wait of a start for room, ms. */
  waitMs: number;
  log: Logger;
};

/** Decides what becomes of a start that this host does not take: it waits for room, or fails. */
export class Waits {
  readonly #o: WaitsOptions;

  constructor(options: WaitsOptions) {
    this.#o = options;
  }

  /**
   * Lets a start wait, and reports why.
   * @param reason why this host does not take it now
   * @returns the requeue; or the failure of a start that no host could hold, or that has waited for too long
   */
  async wait(wanted: Wanted, reason: WaitReason, job: JobContext): Promise<RequeueError | JobFailureError> {
    const { waiting, offer, log } = this.#o;
    const member = WaitingStarts.memberOf(job.data);
    job.onEnd(() => waiting.remove([member]).catch(() => undefined));
    const hosts = await this.#hosts();
    const code = failureOf(wanted, hosts);
    if (code) return new JobFailureError(code);
    const start: WaitingStart = { ...this.#startOf(wanted, job), reason: reasonFor(wanted, reason, hosts) };
    if (this.isOver(job.queuedAt))
      return new JobFailureError('no_room', undefined, waitMessage(start.reason));
    const starts = await waiting
      .add(start)
      .then(() => waiting.list())
      .catch((err: unknown) => {
        log.warn({ err, jobId: start.jobId }, 'waiting start not recorded: its next delivery retries');
        return [];
      });
    const own = offer.resources;
    // Else another host may have room for it, and the leader publishes why it waits if none has.
    if (start.reason === 'draining' || (own && !own.draining && couldHold(own, wanted))) {
      const at = starts.findIndex((each) => each.member === member);
      const position = (at < 0 ? starts.length : at) + 1;
      await job.progress(0, `waiting: ${waitMessage(start.reason)}`, { reason: start.reason, position });
    }
    return new RequeueError(this.delayMs(job.queuedAt), () => waiting.publish().catch(() => undefined));
  }

  /** Whether a start that was queued then has waited for too long. */
  isOver(queuedAt: number): boolean {
    return Date.now() - queuedAt > this.#o.waitMs;
  }

  /** The delay of a start until a worker looks at it again at the latest, ms. */
  delayMs(queuedAt: number): number {
    const leftMs = queuedAt + this.#o.waitMs - Date.now();
    return Math.max(0, Math.min(RECHECK_MS * (0.75 + Math.random() / 2), leftMs + AFTER_DEADLINE_MS));
  }

  #startOf({ vector, image }: Wanted, { data, queuedAt }: JobContext): Omit<WaitingStart, 'reason'> {
    const { userId, jobId, run } = data;
    return { userId, jobId, run, vector, image, queuedAt, seenAt: Date.now() };
  }

  /**
   * The hosts that are not lost; `undefined` when one of them has not published its resources yet, or Redis does
   * not answer: any host may exist then.
   */
  async #hosts(): Promise<HostResources[] | undefined> {
    const { redis, offer, host } = this.#o;
    const [names, published] = await Promise.all([
      redis.zrange(keys.hosts(), '0', '-1'),
      redis.hgetall(keys.hostResources()),
    ]).catch((): [string[], Record<string, string>] => [['unknown'], {}]);
    const hosts = names.map((name) =>
      name === host ? offer.published : PublishedResources.safeParse(published[name]).data,
    );
    const known = hosts.flatMap((each) => each ?? []);
    return known.length < names.length ? undefined : known;
  }
}

/** The failure of a start that no host could hold, if it were empty. */
function failureOf(wanted: Wanted, hosts: HostResources[] | undefined): FailureCode | undefined {
  if (!hosts || hosts.length === 0 || hosts.some((host) => couldHold(host, wanted))) return undefined;
  const having = hosts.filter((host) => mayHave(host, wanted.image));
  if (having.length === 0) return 'image_missing';
  const gpus = Math.max(...having.map(({ capacity }) => capacity.gpus ?? 0));
  return wanted.vector.gpus > gpus ? 'no_gpu' : 'desktop_too_large';
}

/** `draining` when every host that could hold it is; `reason` otherwise. */
function reasonFor(wanted: Wanted, reason: WaitReason, hosts: HostResources[] | undefined): WaitReason {
  const able = hosts?.filter((host) => couldHold(host, wanted)) ?? [];
  return able.length > 0 && able.every(({ draining }) => draining) ? 'draining' : reason;
}
