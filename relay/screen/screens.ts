import { ApiError } from '@warmwind/shared/contract/errors';
import {
  type ControlAction,
  holdingViewer,
  type Requester,
  screenKeys,
} from '@warmwind/shared/contract/screen';
import { actOnControl, type ControlState } from '@warmwind/shared/engine/node/control';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { RecordSources } from '../rooms/records.ts';
import { endedState } from './access.ts';
import { asHolder } from './control.ts';
import { checkHosts } from './hosts.ts';
import { Presence } from './presence.ts';
import { Screen, type ScreenContext } from './screen.ts';
import type { Viewer } from './viewer.ts';

/** The events that nodes send each other about screens. */
const CONTROL = 'screen:control';
const REQUEST = 'screen:request';
const EXPEL = 'screen:expel';

/** The screens that are watched on this node: opened for the first viewer, closed after the last. */
export class Screens {
  readonly presence: Presence;
  /** By channel. */
  readonly #screens = new Map<string, Screen>();
  readonly #context: ScreenContext;
  readonly #subscriber: Redis;
  readonly #recordSources: RecordSources;
  readonly #timers: NodeJS.Timeout[];

  /** @param subscriber a queueing connection of its own; ioredis does not restore its subscriptions */
  constructor(context: ScreenContext, subscriber: Redis, recordSources: RecordSources) {
    this.#context = context;
    this.#subscriber = subscriber;
    this.#recordSources = recordSources;
    this.presence = new Presence(context.realtime);
    subscriber.options.autoResubscribe = false;
    subscriber.on('smessageBuffer', (channel: Buffer, message: Buffer) => {
      this.#screens.get(channel.toString())?.receive(message);
    });
    // Messages are missed until the connection is back.
    subscriber.on('close', () => {
      for (const screen of this.#screens.values()) screen.receivedBy(0);
    });
    subscriber.on('ready', () => {
      this.#resubscribe().catch((err: unknown) =>
        context.log.warn({ err }, 'resubscribing to screens failed'),
      );
    });
    context.io.on(CONTROL, (containerId: string, state: ControlState) => {
      this.#find(containerId)?.updateControl(state);
    });
    context.io.on(REQUEST, (containerId: string, viewer: Requester) => {
      this.#find(containerId)?.requested(viewer);
    });
    context.io.on(EXPEL, (containerId: string, viewerId: string) => this.#expel(containerId, viewerId));
    const every = (ms: number, task: (screen: Screen) => Promise<unknown>) =>
      setInterval(() => {
        for (const screen of this.#screens.values()) task(screen).catch(() => undefined);
      }, ms).unref();
    this.#timers = [
      every(LIMITS.controlMs, (screen) => this.#refreshControl(screen)),
      every(LIMITS.presenceMs, (screen) =>
        this.presence.publish(screen.containerId, [...screen.viewers.values()]),
      ),
      every(LIMITS.presenceMs, (screen) => this.#closeEnded(screen)),
      setInterval(() => {
        checkHosts(context.realtime, [...this.#screens.values()]).catch(() => undefined);
      }, LIMITS.hostsMs).unref(),
    ];
  }

  get viewers(): number {
    return this.#screens.values().reduce((sum, { viewers }) => sum + viewers.size, 0);
  }

  /**
   * Opens the screen of a desktop: subscribes to it and reads its control. The screen stays open until
   * the returned `settle` is called and no viewer is left.
   *
   * @throws ApiError `unavailable` when Redis does not answer in time
   */
  async open(containerId: string, owner: string): Promise<{ screen: Screen; settle: () => void }> {
    const screen = this.#find(containerId) ?? this.#create(containerId, owner);
    screen.expected += 1;
    const settle = () => {
      screen.expected -= 1;
      this.#forgetUnwatched(screen);
    };
    try {
      await withTimeout(screen.opened, LIMITS.subscribeMs).catch(unavailable);
      await this.#refreshControl(screen).catch(unavailable);
    } catch (error) {
      settle();
      throw error;
    }
    return { screen, settle };
  }

  watch(screen: Screen, viewer: Viewer): void {
    screen.add(viewer);
    this.presence.publish(screen.containerId, [viewer]).catch(() => undefined);
  }

  /** Removes a viewer, and releases the control that it holds. */
  unwatch(screen: Screen, viewer: Viewer): void {
    if (!screen.viewers.delete(viewer.id)) return;
    this.presence.remove(viewer).catch(() => undefined);
    // If this fails, the lease of control expires soon.
    if (holdingViewer(screen.control.holder) === viewer.id)
      this.act(screen, 'release', viewer).catch(() => undefined);
    this.#forgetUnwatched(screen);
  }

  /**
   * Requests, takes or releases control for a viewer. Every viewer is notified of a new holder.
   *
   * @throws when Redis is unavailable
   */
  async act(screen: Screen, action: Exclude<ControlAction, 'grant'>, viewer: Viewer): Promise<void> {
    if (action !== 'release') viewer.active();
    const state = await this.#change(screen, action, viewer.holder);
    const left = !screen.viewers.has(viewer.id) && holdingViewer(state.holder) === viewer.id;
    if (left) await this.act(screen, 'release', viewer);
  }

  /** Notifies all nodes that a viewer requests control that another holds. */
  request({ containerId }: Screen, viewer: Viewer): void {
    if (!viewer.requests()) return;
    this.#find(containerId)?.requested(viewer.holder);
    this.#context.io.serverSideEmit(REQUEST, containerId, viewer.holder);
  }

  /**
   * Grants control to a viewer of any node. If the viewer has just left, the lease expires soon.
   *
   * @returns whether such a viewer watches with a ticket to control
   * @throws when Redis is unavailable
   */
  async grant(screen: Screen, viewerId: string): Promise<boolean> {
    const viewers = await this.presence.list(screen.containerId);
    const viewer = viewers.find(({ id, mode }) => id === viewerId && mode === 'control');
    if (viewer) await this.#change(screen, 'take', asHolder(viewer));
    return viewer !== undefined;
  }

  /**
   * Closes the connection of a viewer on any node.
   *
   * @returns whether the viewer was present
   * @throws when Redis is unavailable
   */
  async expel(containerId: string, viewerId: string): Promise<boolean> {
    const isPresent = await this.presence.forget(containerId, viewerId);
    if (!isPresent) return false;
    this.#expel(containerId, viewerId);
    this.#context.io.serverSideEmit(EXPEL, containerId, viewerId);
    return true;
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const screen of this.#screens.values()) screen.close();
    this.#screens.clear();
  }

  async #change(
    screen: Screen,
    action: Exclude<ControlAction, 'grant'>,
    holder: Requester,
  ): Promise<ControlState> {
    const { containerId } = screen;
    const { changed, ...state } = await actOnControl(this.#context.realtime, containerId, action, holder);
    screen.updateControl(state);
    if (changed) this.#context.io.serverSideEmit(CONTROL, containerId, state);
    return state;
  }

  #expel(containerId: string, viewerId: string): void {
    const viewer = this.#find(containerId)?.viewers.get(viewerId);
    // Socket.IO's own disconnect packet, after which clients do not reconnect automatically.
    viewer?.socket.disconnect(true);
  }

  #find(containerId: string): Screen | undefined {
    return this.#screens.get(screenKeys.down(containerId));
  }

  #create(containerId: string, owner: string): Screen {
    const screen = new Screen(containerId, owner, this.#context, (name) => this.#subscriber.ssubscribe(name));
    this.#screens.set(screen.channel, screen);
    screen.opened.catch(() => this.#forget(screen));
    return screen;
  }

  /** Reads control. A holder of this node renews its lease, or releases control when it is idle. */
  async #refreshControl(screen: Screen): Promise<void> {
    const { realtime } = this.#context;
    const { holding } = screen;
    if (holding?.idle) return this.act(screen, 'release', holding);
    screen.updateControl(await actOnControl(realtime, screen.containerId, 'look', holding?.holder));
  }

  /** Ends the screen of a desktop that ended without a message of its host, and notifies its viewers. */
  async #closeEnded(screen: Screen): Promise<void> {
    if (!screen.needsKeyframe) return;
    const state = await endedState(this.#recordSources, screen.owner, screen.containerId);
    if (!state) return;
    for (const viewer of [...screen.viewers.values()]) {
      viewer.gone(state);
      this.unwatch(screen, viewer);
    }
  }

  #forgetUnwatched(screen: Screen): void {
    if (screen.viewers.size === 0 && screen.expected === 0) this.#forget(screen);
  }

  /** Closes a screen. Opening it again subscribes after this: commands of one connection keep their order. */
  #forget(screen: Screen): void {
    screen.close();
    if (this.#screens.get(screen.channel) !== screen) return;
    this.#screens.delete(screen.channel);
    this.#subscriber.sunsubscribe(screen.channel).catch(() => undefined);
  }

  async #resubscribe(): Promise<void> {
    const screens = [...this.#screens.values()];
    await Promise.all(screens.map(({ channel }) => this.#subscriber.ssubscribe(channel)));
    for (const screen of screens) screen.markMayHaveMissed();
  }
}

const unavailable = (): never => {
  throw new ApiError('unavailable', 'The screen cannot be opened now. Watch it again in a moment.');
};
