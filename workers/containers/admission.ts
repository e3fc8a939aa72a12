import { keys } from '@warmwind/shared/keys';
import type { DesktopRecord } from '@warmwind/shared/node/records';
import type { Redis } from 'ioredis';
import type { JobContext } from '../runtime/delivery.ts';
import { JobFailure } from '../runtime/failures.ts';
import { HandBack } from '../runtime/outcome.ts';
import type { Engine } from './engine.ts';
import type { Capacity } from './reservations.ts';
import { parseSpec } from './spec.ts';

/** A start that waits for room is tried again after half of the time it has waited, within these bounds, ms. */
const AGAIN_MS = { least: 500, most: 10_000 };

export type AdmissionOptions = {
  engine: Engine;
  /** A connection to the queue Redis that fails fast. */
  redis: Redis;
  capacity: Capacity;
  /** How long a start waits for room, ms. */
  waitMs: number;
};

/** Decides whether this host takes a start, by what its machine has left. */
export class Admission {
  readonly #o: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#o = options;
  }

  /**
   * @returns `undefined` when the host has room for the desktop; `HandBack` while the start is to wait, for this host or
   * another; `JobFailure` when no host is large enough, or it has waited for too long
   */
  async refusal(record: DesktopRecord, job: JobContext): Promise<HandBack | JobFailure | undefined> {
    const spec = specOf(record);
    // An engine that does not answer fails the start where the desktop is created.
    const room = spec && (await this.#o.engine.room(record.containerId, spec).catch(() => undefined));
    return room === undefined || room === 'now' ? undefined : this.full(record, job);
  }

  /** The same for a start that has been found not to fit. */
  async full(record: DesktopRecord, job: JobContext): Promise<HandBack | JobFailure> {
    const memoryMb = specOf(record)?.memoryMb ?? 0;
    if (memoryMb > (await this.#greatestMb())) return new JobFailure('desktop_too_large');
    const waitedMs = Date.now() - job.queuedAt;
    if (waitedMs > this.#o.waitMs) return new JobFailure('no_room');
    const againMs = Math.max(AGAIN_MS.least, Math.min(AGAIN_MS.most, waitedMs / 2));
    return new HandBack(againMs * (1 + Math.random() / 4));
  }

  /** What the largest live host gives to desktops; without an answer a larger one may exist. */
  async #greatestMb(): Promise<number> {
    const capacities = await this.#o.redis
      .hvals(keys.hostMemory())
      .catch(() => [`${Number.POSITIVE_INFINITY}`]);
    return Math.max(this.#o.capacity.memoryMb, ...capacities.map(Number).filter((mb) => mb > 0));
  }
}

/** A spec that can't be read is refused where the desktop is created. */
function specOf(record: DesktopRecord): ReturnType<typeof parseSpec> | undefined {
  try {
    return parseSpec(record.spec);
  } catch {
    return undefined;
  }
}
