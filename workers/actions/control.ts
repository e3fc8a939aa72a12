import { ApiError } from '@warmwind/shared/contract/errors';
import { CONTROL_TTL_MS, type Holder } from '@warmwind/shared/contract/screen';
import { actOnControl } from '@warmwind/shared/engine/node/control';
import type { Redis } from 'ioredis';
import { agentName, type InputGate } from '../screen/input.ts';

/** How often a call renews its control, ms. */
const RENEW_MS = 2000;

export type AgentControlOptions = {
  /** The realtime Redis, a fail-fast connection. */
  redis: Redis;
  containerId: string;
  userId: string;
  /** The id of what authenticated the call. */
  credential: string;
  /** Passes the agent's input while it holds control. */
  gate: InputGate;
};

/** The control of one container by one agent, while a call of it runs. It lasts for some seconds after. */
export class AgentControl {
  readonly name: string;
  readonly #o: AgentControlOptions;
  #timer: NodeJS.Timeout | undefined;
  #lease = 0;

  constructor(options: AgentControlOptions) {
    this.#o = options;
    this.name = agentName(options);
  }

  /** The lease under which input is sent, 0 before control is acquired. */
  get lease(): number {
    return this.#lease;
  }

  /**
   * Acquires control when it is free or another agent's; with `take` also from a person.
   * @throws ApiError `control_held` or `unavailable`
   */
  async acquire(action: 'request' | 'take'): Promise<void> {
    const holder = await this.#move(action).catch((): never => {
      throw new ApiError('unavailable', 'Control can not be read now, and nothing was done. Retry.', {
        retryAfterMs: 1000,
      });
    });
    if (holder) throw controlHeld(holder);
    this.#timer = setInterval(() => void this.#move('look').catch(() => undefined), RENEW_MS).unref();
  }

  /** Renews control a last time. Never rejects. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#lease > 0) await this.#move('look').catch(() => undefined);
  }

  /** @returns another holder of control */
  async #move(action: 'request' | 'take' | 'look'): Promise<Holder | undefined> {
    const { redis, containerId, userId, credential, gate } = this.#o;
    const caller: Holder = { type: 'agent', userId, credential };
    const { holder } = await actOnControl(redis, containerId, action, caller);
    if (!holder) return undefined;
    if (holder.type !== 'agent' || agentName(holder) !== this.name) return holder;
    this.#lease = holder.lease;
    gate.hold(this.name, holder.lease, CONTROL_TTL_MS);
    return undefined;
  }
}

/** The error of a call whose agent does not hold control. */
export function controlHeld(holder?: Holder): ApiError {
  const by = !holder
    ? 'Another holder'
    : holder.type === 'agent'
      ? `Another agent (${holder.credential})`
      : `${holder.type === 'guest' ? 'A guest' : 'A viewer of the owner'} (${holder.viewerId})`;
  return new ApiError(
    'control_held',
    `${by} controls this desktop. Wait until control is released, or send control "take".`,
  );
}
