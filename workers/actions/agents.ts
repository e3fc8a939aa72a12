import type { ActionsAnswer } from '@warmwind/shared/contract/actions/answer';
import { Held, screenKeys } from '@warmwind/shared/contract/screen';
import { appendEvents } from '@warmwind/shared/engine/node/event-log';
import { jsonText } from '@warmwind/shared/runtime/json';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Redis } from 'ioredis';
import { DesktopFramebuffer } from '../framebuffer/desktop.ts';
import type { FramebufferMemory } from '../framebuffer/memory.ts';
import type { Framebuffer } from '../framebuffer/session.ts';
import { InputGate } from '../screen/input.ts';
import type { ScreenMetrics } from '../screen/metrics.ts';
import type { Screenshots } from '../screen/screenshot.ts';
import { Throttle } from '../screen/throttle.ts';
import type { Turn } from '../screen/turns.ts';
import { type ActionCall, ActionDesk, type ActionsDone } from './desk.ts';
import { actionEvents } from './events.ts';

/** How often the place of the pointer is stored for this host's next process, ms, and for how long, s. */
const STORE_EVERY_MS = 1000;
const STORED_S = 86_400;

export type AgentsOptions = {
  containerId: string;
  userId: string;
  /** Resolves with the path of the desktop's RFB socket; rejects when there is none. */
  socketPath: () => Promise<string>;
  /** The realtime Redis, a fail-fast connection. */
  redis: Redis;
  turn: Turn;
  memory: FramebufferMemory;
  screenshots: Screenshots;
  /** Does a stream of the desktop release what an earlier process left pressed? */
  isStreamed: () => boolean;
  metrics: ScreenMetrics;
  log: Logger;
};

/** What agents do on one desktop, and what they see of it: on a connection apart from that of viewers. */
export class Agents {
  readonly framebuffer: DesktopFramebuffer;
  /** Passes their input. */
  readonly gate: InputGate;
  readonly #o: AgentsOptions;
  readonly #desk: ActionDesk;
  readonly #store = new Throttle();
  /** Where the pointer was moved to last, by anybody. */
  #pointer: { x: number; y: number } | undefined;
  #open: Framebuffer | undefined;

  constructor(options: AgentsOptions) {
    this.#o = options;
    const { containerId, redis, screenshots, socketPath, turn, memory, metrics } = options;
    this.gate = new InputGate({
      redis,
      containerId,
      onDropped: (_sender, reason) => metrics.inputDropped.inc({ reason }),
      onHolder: () => this.#desk.controlChanged(),
    });
    this.gate.onPointer((x, y) => this.pointAt(x, y));
    const onOpen = (framebuffer: Framebuffer) => this.#opened(framebuffer);
    const onEnd = () => this.#ended();
    this.framebuffer = new DesktopFramebuffer({ socketPath, turn, memory, onOpen, onEnd });
    this.#desk = new ActionDesk({
      containerId,
      redis,
      screenshots,
      framebuffer: this.framebuffer,
      gate: this.gate,
      onDone: (done) => void this.#record(done),
    });
  }

  /**
   * Carries out actions.
   * @throws ApiError, or the reason of the call's signal
   */
  act(call: ActionCall): Promise<ActionsAnswer> {
    return this.#desk.run(call);
  }

  /** Takes the place to which a viewer or an agent has moved the pointer. */
  pointAt(x: number, y: number): void {
    this.#pointer = { x, y };
    this.#open?.pointAt(x, y);
    const { redis, containerId } = this.#o;
    this.#store.run(STORE_EVERY_MS, () => {
      const place = JSON.stringify(this.#pointer);
      redis.set(screenKeys.pointer(containerId), place, 'EX', STORED_S).catch(() => undefined);
    });
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.gate.close();
    this.#store.clear();
    await this.framebuffer.close();
  }

  async #opened(framebuffer: Framebuffer): Promise<void> {
    this.#pointer ??= await this.#stored();
    if (this.#pointer) framebuffer.pointAt(this.#pointer.x, this.#pointer.y, true);
    this.#open = framebuffer;
    this.gate.attach(framebuffer, !this.#o.isStreamed());
  }

  #ended(): void {
    this.#open = undefined;
    this.gate.attach(undefined);
  }

  /** Where an earlier process has left the pointer. Never rejects. */
  async #stored(): Promise<{ x: number; y: number } | undefined> {
    const { redis, containerId } = this.#o;
    const text = await redis.get(screenKeys.pointer(containerId)).catch(() => null);
    return text === null ? undefined : jsonText(Held).safeParse(text).data;
  }

  /** Never rejects: an action stays done without its event. */
  async #record({ call, actions, results }: ActionsDone): Promise<void> {
    const { redis, containerId, userId, log } = this.#o;
    const events = actionEvents(containerId, call, actions, results);
    if (events.length === 0) return;
    const subject = { userId, room: `container:${containerId}` } as const;
    await appendEvents(redis, subject, events, call.incarnation).catch((error: unknown) =>
      log.warn({ containerId, err: error }, 'actions not recorded'),
    );
  }
}
