import type { CallAnswer } from '@warmwind/shared/engine/node/caller';
import { FairGate } from '@warmwind/shared/runtime/node/fair-gate';
import { LIMITS } from '../limits.ts';

/** A read that several clients may share. */
type Flight = { answer: Promise<CallAnswer>; abort: AbortController; sharers: number };

/**
 * Shares reads of containers between clients. Equal reads run one after the other. Clients that ask while one
 * runs share the next, so that every answer is newer than its request. The concurrent reads are shared fairly
 * between users.
 */
export class SharedReads {
  readonly #gate = new FairGate(LIMITS.containerReads);
  /** The running read, and the next one, by key. */
  readonly #current = new Map<string, Promise<unknown>>();
  readonly #next = new Map<string, Flight>();

  /**
   * @param key identifies the read: requests with the same key may share it
   * @param read is aborted when the last client that shares it has left
   * @throws the reason of `signal`
   */
  async ask(
    { key, subject, signal }: { key: string; subject: string; signal: AbortSignal },
    read: (signal: AbortSignal) => Promise<CallAnswer>,
  ): Promise<CallAnswer> {
    const flight = this.#next.get(key) ?? this.#begin(key, subject, read);
    flight.sharers += 1;
    const { promise: left, reject } = Promise.withResolvers<never>();
    const leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave);
    if (signal.aborted) leave();
    try {
      return await Promise.race([flight.answer, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      flight.sharers -= 1;
      if (flight.sharers === 0) {
        flight.abort.abort();
        if (this.#next.get(key) === flight) this.#next.delete(key);
      }
    }
  }

  #begin(key: string, subject: string, read: (signal: AbortSignal) => Promise<CallAnswer>): Flight {
    const abort = new AbortController();
    const before = this.#current.get(key);
    const answer = this.#after(before, subject, () => {
      if (this.#next.get(key) === flight) this.#next.delete(key);
      return read(abort.signal);
    });
    const flight: Flight = { answer, abort, sharers: 0 };
    this.#next.set(key, flight);
    const ended = answer.then(
      () => undefined,
      () => undefined,
    );
    this.#current.set(key, ended);
    void ended.then(() => {
      if (this.#current.get(key) === ended) this.#current.delete(key);
      if (this.#next.get(key) === flight) this.#next.delete(key);
    });
    return flight;
  }

  async #after(
    before: Promise<unknown> | undefined,
    subject: string,
    read: () => Promise<CallAnswer>,
  ): Promise<CallAnswer> {
    await before;
    return this.#gate.run(subject, read);
  }
}
