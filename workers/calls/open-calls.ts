import type { ApiError } from '@warmwind/shared/contract/errors';

type OpenCall = {
  containerId: string;
  keyHash?: string | undefined;
  abort: AbortController;
  ended: Promise<void>;
};

/** The calls of a host that have not ended, by id. */
export class OpenCalls {
  readonly #calls = new Map<string, OpenCall>();

  has(callId: string): boolean {
    return this.#calls.has(callId);
  }

  add(callId: string, call: OpenCall): void {
    this.#calls.set(callId, call);
  }

  remove(callId: string): void {
    this.#calls.delete(callId);
  }

  abort(callId: string): void {
    this.#calls.get(callId)?.abort.abort();
  }

  /** @param reason the error that the calls receive, those with effects excepted */
  abortOf(containerId: string, reason?: ApiError): void {
    for (const call of this.#of(containerId)) call.abort.abort(reason);
  }

  hasOpen(containerId: string): boolean {
    return this.#of(containerId).length > 0;
  }

  /** Resolves when the calls to a container that are open now have ended. */
  async endedOf(containerId: string): Promise<void> {
    await Promise.all(this.#of(containerId).map((call) => call.ended));
  }

  #of(containerId: string): OpenCall[] {
    return [...this.#calls.values()].filter((call) => call.containerId === containerId);
  }

  /**
   * Aborts the calls to a container that were sent with a key.
   * @returns whether there was one
   */
  abortByKey(containerId: string, keyHash: string): boolean {
    const calls = [...this.#calls.values()].filter(
      (call) => call.containerId === containerId && call.keyHash === keyHash,
    );
    for (const call of calls) call.abort.abort();
    return calls.length > 0;
  }

  /** Resolves when all of them have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#calls.values()].map((call) => call.ended));
  }
}
