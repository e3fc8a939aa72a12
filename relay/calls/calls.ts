import { callTimedOut } from '@warmwind/shared/contract/call-refusal';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { CallAnswer, Caller, CallRequest } from '@warmwind/shared/engine/node/caller';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import { LIMITS } from '../limits.ts';
import { ByteBudget, Holdings } from '../shares.ts';
import { SharedReads } from './shared-reads.ts';

/** `subject`: the user or share link whose limits the call counts against. */
export type RelayedCall = CallRequest & { subject: string; signal: AbortSignal };

/** Relays calls to the hosts of containers, within the limits of each subject and of this node. */
export class Calls {
  readonly #caller: Caller;
  readonly #reads = new SharedReads();
  readonly #asking = new Holdings(LIMITS.callsPerSubject, 'calls that are being answered');
  readonly #unread = new ByteBudget(LIMITS.answerBytes);
  #open = 0;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  get open(): number {
    return this.#open;
  }

  /**
   * Sends a call to the container's host.
   * @returns the answer, and `read` to call once when the client has read it
   * @throws ApiError, or the reason of the signal
   */
  async ask(call: RelayedCall): Promise<{ answer: CallAnswer; read: () => void }> {
    const leave = this.#join(call.subject);
    try {
      const { subject, command } = call;
      const answer = await (command.claims ? this.#caller.call(call) : this.#read(call));
      // A call that has taken effect is always answered: `#join` has refused users that do not read.
      const hold = command.claims ? this.#unread.add : this.#unread.take;
      return { answer, read: hold.call(this.#unread, subject, answer.bytes.length) };
    } finally {
      leave();
    }
  }

  /** @throws ApiError before anything is done */
  #join(subject: string): () => void {
    if (this.#open >= LIMITS.calls) {
      const message = 'This node relays too many calls: ask again shortly.';
      throw new ApiError('unavailable', message, { retryAfterMs: 1000 });
    }
    this.#unread.take(subject, 0)();
    const leave = this.#take(subject);
    this.#open += 1;
    return () => {
      this.#open -= 1;
      leave();
    };
  }

  #take(subject: string): () => void {
    try {
      return this.#asking.take(subject);
    } catch {
      const message = 'Too many of your calls are being answered: ask again in a second.';
      throw new ApiError('rate_limited', message, { retryAfterMs: 1000 });
    }
  }

  /** Clients that ask for the same read at the same time share an answer, unless it waits. */
  #read({ signal, subject, ...call }: RelayedCall): Promise<CallAnswer> {
    const { userId, containerId, incarnation, command, input } = call;
    if (command.waits?.(input as Record<string, unknown>)) return this.#caller.call({ ...call, signal });
    const key = JSON.stringify([userId, containerId, incarnation, command.kind, input]);
    const onTimeout = (): never => {
      throw callTimedOut();
    };
    const asked = this.#reads.ask({ key, subject, signal }, (shared) =>
      this.#caller.call({ ...call, signal: shared }),
    );
    return withTimeout(asked, command.timeoutMs, onTimeout);
  }
}
