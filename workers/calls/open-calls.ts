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

  abortOf(containerId: string): void {
    for (const call of this.#calls.values()) if (call.containerId === containerId) call.abort.abort();
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
