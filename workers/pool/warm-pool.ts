import type { ContainerSpec } from '@warmwind/shared/contract/containers';
import { backoff } from '@warmwind/shared/runtime/backoff';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Admission } from '../containers/admission.ts';
import type { Engine } from '../containers/engine.ts';
import { loop } from '../loop.ts';
import type { Metrics } from '../metrics.ts';
import { misfit, pooledSpec } from './fit.ts';
import { bringUp, newPooledInstance, type PooledInstance } from './pooled-instance.ts';

/** How often the pool is compared with its settings, with the starts that wait, and with the engine, ms. */
const CHECK_EVERY_MS = 250;
const WAITING_EVERY_MS = 1000;
const VERIFY_EVERY_MS = 2000;
/** How long the pool takes no room after it gave way to a start, and after there was none, ms. */
const GAVE_WAY_MS = 5000;
const NO_ROOM_MS = 5000;
/** Back-off after instances that did not come up, ms. */
const RETRY_MS = { firstMs: 1000, maxMs: 60_000 };

export type WarmPoolOptions = {
  engine: Engine;
  admission: Admission;
  /** How many instances are kept, by Docker image. */
  sizes: ReadonlyMap<string, number>;
  /** Whether starts wait: they come first. */
  startsWait: () => Promise<'for_room' | 'for_a_worker' | undefined>;
  /** Whether the host is drained: it keeps no instances then. */
  isDraining: () => boolean;
  metrics: Metrics;
  log: Logger;
};

/**
 * Keeps running instances without a container, so that a start need not wait for one to come up. An instance
 * is taken once and never comes back. Only the process that created an instance knows it: the sweep of the
 * next one removes it.
 */
export class WarmPool {
  readonly #o: WarmPoolOptions;
  readonly #specs: ReadonlyMap<string, ContainerSpec>;
  readonly #ready = new Set<PooledInstance>();
  /** The ids of all instances that this process creates, keeps, or gave to an active start. */
  readonly #claimed = new Set<string>();
  /** The instances that starts released: each may be with another start by now. */
  readonly #released = new WeakSet<PooledInstance>();
  readonly #stopped = new AbortController();
  #loop: Promise<void> | undefined;
  /** The instance that is being created. */
  #creating: { abandon: AbortController; done: Promise<void> } | undefined;
  #isOpen = false;
  #failures = 0;
  #notBefore = 0;
  #verifiedAt = 0;
  #askedAt = 0;

  constructor(options: WarmPoolOptions) {
    this.#o = options;
    this.#specs = new Map([...options.sizes.keys()].map((image) => [image, pooledSpec(image)]));
  }

  start(): void {
    if (this.#specs.size === 0) return;
    this.#loop ??= loop('warm pool', this.#o.log, this.#stopped.signal, async () => {
      await this.#check();
      return CHECK_EVERY_MS;
    });
  }

  /** Whether this process may keep instances: it holds its host's lease. */
  setOpen(isOpen: boolean): void {
    this.#isOpen = isOpen;
  }

  /** Removes every instance of the pool. Never rejects. */
  async close(): Promise<void> {
    this.#stopped.abort();
    this.#isOpen = false;
    await Promise.all([this.#loop, this.#creating?.done, this.#empty()]);
    await this.#empty();
  }

  /** Whether an instance belongs to the pool, or to an active start that took it. The sweep leaves it alone. */
  claims(instanceId: string | undefined): boolean {
    return instanceId !== undefined && this.#claimed.has(instanceId);
  }

  /**
   * Takes an instance for a start.
   * @returns `undefined` when none fits: the start is cold
   */
  take(spec: ContainerSpec): PooledInstance | undefined {
    if (this.#specs.size === 0) return undefined;
    const pooled = this.#specs.get(spec.image);
    const reason = pooled ? misfit(spec, pooled) : 'image';
    const taken = reason ? undefined : [...this.#ready].find((one) => one.spec === pooled);
    if (taken && this.#isOpen) {
      this.#ready.delete(taken);
      this.#measure();
      return taken;
    }
    this.missed(reason ?? 'empty');
    return undefined;
  }

  /** Takes back an instance of which nothing has changed since it was taken. */
  release(pooled: PooledInstance): void {
    this.#released.add(pooled);
    this.#ready.add({ ...pooled });
    this.#measure();
  }

  /** The start that took an instance is over: the record names the instance, or it is removed. */
  settled(pooled: PooledInstance): void {
    if (!this.#released.has(pooled)) this.#claimed.delete(pooled.instance.instanceId);
  }

  /** Removes an instance that a start took and could not place. Never rejects. */
  discard(pooled: PooledInstance): Promise<void> {
    return this.#remove(pooled);
  }

  /** Counts a start that was cold although there is a pool. */
  missed(reason: string): void {
    this.#o.metrics.warmPoolMisses.inc({ reason });
  }

  /**
   * Gives up one instance, so that a start has its room, and takes none for some time.
   * @returns whether room became free
   */
  async evict(): Promise<boolean> {
    if (this.#specs.size === 0) return false;
    this.#notBefore = Date.now() + GAVE_WAY_MS;
    const [pooled] = this.#ready;
    if (pooled) {
      this.#o.log.info({ instance: pooled.instance.instanceId }, 'warm pool gives way to a start');
      await this.#remove(pooled);
      return true;
    }
    const creating = this.#creating;
    if (!creating) return false;
    creating.abandon.abort();
    await creating.done;
    return true;
  }

  async #check(): Promise<void> {
    if (!this.#isOpen || this.#o.isDraining()) return this.#empty();
    if (this.#ready.size > 0 && Date.now() - this.#verifiedAt >= VERIFY_EVERY_MS) await this.#verify();
    if (!this.#missing() && Date.now() - this.#askedAt < WAITING_EVERY_MS) return;
    this.#askedAt = Date.now();
    const waiting = await this.#o.startsWait();
    if (waiting === 'for_room') await this.evict();
    const spec = this.#missing();
    if (!spec || waiting || Date.now() < this.#notBefore || !this.#isOpen) return;
    const abandon = new AbortController();
    const signal = AbortSignal.any([this.#stopped.signal, abandon.signal]);
    const done = this.#create(newPooledInstance(spec), signal).finally(() => {
      this.#creating = undefined;
    });
    this.#creating = { abandon, done };
    await done;
  }

  /** The spec of an image of which the pool has too few instances. */
  #missing(): ContainerSpec | undefined {
    const short = [...this.#o.sizes].find(([image, size]) => this.#count(image) < size);
    return short && this.#specs.get(short[0]);
  }

  #count(image: string): number {
    return [...this.#ready].filter(({ spec }) => spec.image === image).length;
  }

  /** Creates one instance, if there is room. Never rejects. */
  async #create(pooled: PooledInstance, signal: AbortSignal): Promise<void> {
    const { admission, engine, metrics, log } = this.#o;
    const { instanceId } = pooled.instance;
    this.#claimed.add(instanceId);
    const outcome = await admission
      .reservePooled(instanceId, pooled.spec)
      .then(async (hasRoom) => {
        if (!hasRoom) return 'no_room';
        await bringUp(engine, pooled, signal);
        signal.throwIfAborted();
        return 'created';
      })
      .catch((err: unknown) => {
        if (!signal.aborted)
          log.warn({ err, instance: instanceId }, 'warm pool: an instance did not come up');
        return signal.aborted ? 'abandoned' : 'failed';
      });
    metrics.warmPoolRefills.inc({ outcome });
    if (outcome === 'created') {
      this.#failures = 0;
      this.#ready.add(pooled);
      this.#measure();
      return;
    }
    if (outcome === 'failed') this.#failures += 1;
    const waitMs = outcome === 'failed' ? backoff(this.#failures, RETRY_MS) : NO_ROOM_MS;
    this.#notBefore = Math.max(this.#notBefore, Date.now() + waitMs);
    await this.#remove(pooled);
  }

  /** Removes instances which no start may get: they ended, were paused, or have an older image than a cold start. */
  async #verify(): Promise<void> {
    const { engine, log } = this.#o;
    const before = [...this.#ready];
    const [running, imageIds] = await Promise.all([engine.runningInstances(), this.#imageIds(before)]);
    this.#verifiedAt = Date.now();
    const isUnfit = ({ instance, spec, imageId }: PooledInstance) => {
      const latest = imageIds.get(spec.image);
      return !running.has(instance.instanceId) || (latest !== undefined && latest !== imageId);
    };
    const unfit = before.filter((pooled) => this.#ready.has(pooled) && isUnfit(pooled));
    await Promise.all(
      unfit.map((pooled) => {
        const { instanceId } = pooled.instance;
        log.warn({ instance: instanceId }, 'warm pool: an instance ended or has an older image, replaced');
        return this.#remove(pooled);
      }),
    );
  }

  /** The ids of the images that the references of instances name now. */
  async #imageIds(pooled: PooledInstance[]): Promise<Map<string, string | undefined>> {
    const images = [...new Set(pooled.map(({ spec }) => spec.image))];
    const ids = images.map(async (image) => [image, await this.#o.engine.images.idOf(image)] as const);
    return new Map(await Promise.all(ids));
  }

  async #empty(): Promise<void> {
    await Promise.all([...this.#ready].map((pooled) => this.#remove(pooled)));
  }

  /** Removes an instance with its volume and its reservation. The sweep retries a removal that fails. Never rejects. */
  async #remove(pooled: PooledInstance): Promise<void> {
    const { engine, admission, log } = this.#o;
    const { instance } = pooled;
    this.#ready.delete(pooled);
    this.#measure();
    await engine.removeInstance(instance).then(
      () => admission.release(instance),
      (err: unknown) =>
        log.warn({ err, instance: instance.instanceId }, 'pooled instance not removed: the sweep retries'),
    );
    this.#claimed.delete(instance.instanceId);
  }

  #measure(): void {
    for (const image of this.#o.sizes.keys()) {
      this.#o.metrics.warmPoolInstances.set({ image }, this.#count(image));
    }
  }
}
