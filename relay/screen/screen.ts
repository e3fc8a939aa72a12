import {
  type Control,
  type ControlRequest,
  FRAME_HEAD_BYTES,
  type FrameHead,
  HOST_AWAY,
  Holder,
  HostDropped,
  holdingViewer,
  MAX_CLIPBOARD_CHARS,
  MAX_FRAME_BYTES,
  type Requester,
  readFrameHead,
  screenKeys,
  type ToHost,
} from '@warmwind/shared/contract/screen';
import type { ControlState } from '@warmwind/shared/engine/node/control';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { truncateText } from '@warmwind/shared/runtime/text';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Prebuilt } from '../sockets/prebuilt.ts';
import type { RelayServer } from '../sockets/socket.ts';
import { changesHolder } from './control.ts';
import { Frame } from './frame.ts';
import type { Viewer } from './viewer.ts';

/** The services that all screens of a node share. */
export type ScreenContext = { io: RelayServer; realtime: Redis; metrics: Metrics; log: Logger };

/**
 * One desktop's screen on one node. It forwards the messages of its host to the viewers of this node, and
 * requests a keyframe from the host while a viewer needs one. A keyframe goes to the viewers that need it, a
 * delta to the viewers that have received every frame before it.
 */
export class Screen {
  readonly containerId: string;
  readonly owner: string;
  readonly channel: string;
  /** By viewer id. */
  readonly viewers = new Map<string, Viewer>();
  /** Resolves once the channel is subscribed. */
  readonly opened: Promise<unknown>;
  /** The number of viewers that are about to watch. The screen stays open for them. */
  expected = 0;
  /** No host subscribes to this screen's messages. */
  away = false;
  control: ControlState = { lease: 0, holder: null };
  readonly #context: ScreenContext;
  /** Messages may have been missed. The next keyframe brings viewers up to date. */
  #mayHaveMissed = false;
  #requestedAt = Number.NEGATIVE_INFINITY;
  #requestTimer: NodeJS.Timeout | undefined;
  /** The time of the next request to the host, on the clock of `performance.now()`, ms. */
  #requestDueAt = Number.POSITIVE_INFINITY;

  constructor(
    containerId: string,
    owner: string,
    context: ScreenContext,
    subscribe: (channel: string) => Promise<unknown>,
  ) {
    this.containerId = containerId;
    this.owner = owner;
    this.channel = screenKeys.down(containerId);
    this.#context = context;
    this.opened = subscribe(this.channel);
  }

  /** Whether to request a keyframe: messages may have been missed, or a viewer would be sent one now. */
  get needsKeyframe(): boolean {
    return this.#mayHaveMissed || this.viewers.values().some((viewer) => viewer.acceptsKeyframe);
  }

  add(viewer: Viewer): void {
    this.viewers.set(viewer.id, viewer);
    if (this.away) viewer.gone(HOST_AWAY);
    this.requestKeyframe();
  }

  /** Handles a message of the channel. */
  receive(message: Buffer): void {
    const head = message.length <= MAX_FRAME_BYTES ? readFrameHead(message) : undefined;
    if (!head) {
      this.#context.log.warn(
        { container: this.containerId, bytes: message.length },
        'dropped an unreadable frame',
      );
      return;
    }
    const payload = message.subarray(FRAME_HEAD_BYTES);
    if (head.kind === 'delta') this.#delta(head, payload);
    else if (head.kind === 'key') this.#keyframe(head, payload);
    else if (head.kind === 'cut') {
      const text = truncateText(payload.toString('utf8', 0, 4 * MAX_CLIPBOARD_CHARS), MAX_CLIPBOARD_CHARS);
      this.#emitClipboard('vnc:cut', { text });
    } else if (head.kind === 'cutTooLong') this.#emitClipboard('vnc:cutTooLong', {});
    else if (head.kind === 'dropped') this.#dropped(payload.toString('utf8', 0, 1000));
    else this.#gone(payload.toString('utf8', 0, 1000));
  }

  /** Requests a keyframe from the host as soon as the rate allows, and again until no viewer needs one. */
  requestKeyframe(): void {
    const at = Math.max(performance.now(), this.#requestedAt + LIMITS.keyframeGapMs);
    if (at < this.#requestDueAt) this.#scheduleRequest(at);
  }

  /** Requests a keyframe because messages may have been missed. */
  markMayHaveMissed(): void {
    this.#mayHaveMissed = true;
    this.requestKeyframe();
  }

  /** Updates the control. Viewers are notified when the holder changed. */
  updateControl(next: ControlState): void {
    if (!changesHolder(this.control, next)) return;
    this.control = { lease: next.lease, holder: next.holder };
    this.holding?.active();
    for (const { socket } of this.viewers.values()) {
      socket.emit('vnc:control', { containerId: this.containerId, holder: publicHolder(next.holder) });
    }
  }

  /** Notifies the viewers of this node that can grant or release control: `viewer` requests it. */
  requested(viewer: Requester): void {
    for (const other of this.viewers.values()) {
      if (other.id === viewer.viewerId || !(other.grantsControl || other === this.holding)) continue;
      const { containerId } = this;
      other.socket.emit('vnc:request', { containerId, viewer } satisfies ControlRequest);
    }
  }

  /** The viewer of this node that holds control. */
  get holding(): Viewer | undefined {
    return this.viewers.get(holdingViewer(this.control.holder) ?? '');
  }

  /**
   * Publishes a message to the host.
   *
   * @returns the number of subscribers that received it, according to Redis
   * @throws when Redis is unavailable
   */
  async publish(message: ToHost): Promise<number> {
    const { realtime } = this.#context;
    const count = Number(await realtime.spublish(screenKeys.up(this.containerId), JSON.stringify(message)));
    this.receivedBy(count);
    return count;
  }

  /**
   * Updates whether the host is connected. Without a host the picture is frozen: viewers are notified, and
   * need a keyframe afterwards.
   *
   * @param listeners the subscribers of the host's channel
   */
  receivedBy(listeners: number): void {
    const away = listeners === 0;
    if (this.away === away || this.viewers.size === 0) return;
    this.away = away;
    if (away) this.#gone(HOST_AWAY);
    // The host may have missed the release of a key.
    else if (this.holding) this.publish({ t: 'release' }).catch(() => undefined);
  }

  close(): void {
    clearTimeout(this.#requestTimer);
  }

  #delta(head: FrameHead, payload: Buffer): void {
    const frame = new Frame(head, ['vnc:frame', this.containerId, head.epoch, head.seq], payload);
    let sent = 0;
    let needsKeyframe = false;
    for (const viewer of this.viewers.values()) {
      if (viewer.delta(frame)) sent += 1;
      else needsKeyframe ||= viewer.acceptsKeyframe;
    }
    const { framesSent, framesDropped } = this.#context.metrics;
    framesSent.inc(sent);
    if (sent < this.viewers.size) framesDropped.inc(this.viewers.size - sent);
    if (needsKeyframe) this.requestKeyframe();
  }

  #keyframe(head: FrameHead, payload: Buffer): void {
    const { epoch, seq, width, height } = head;
    const frame = new Frame(head, ['vnc:key', this.containerId, epoch, seq, width, height], payload);
    this.#mayHaveMissed = false;
    this.receivedBy(1);
    let sent = 0;
    for (const viewer of this.viewers.values()) if (viewer.keyframe(frame)) sent += 1;
    this.#context.metrics.framesSent.inc(sent);
  }

  #emitClipboard(name: 'vnc:cut' | 'vnc:cutTooLong', message: { text?: string }): void {
    const { containerId } = this;
    const event = new Prebuilt([name, { containerId, ...message }]);
    for (const viewer of this.viewers.values()) viewer.sendClipboard(event);
  }

  /** Reports the input of one viewer that the host dropped. */
  #dropped(text: string): void {
    const dropped = HostDropped.safeParse(parse(text)).data;
    const viewer = this.viewers.get(dropped?.viewerId ?? '');
    if (dropped) viewer?.dropped(dropped.reason, publicHolder(this.control.holder), dropped.count);
  }

  #gone(reason: string): void {
    for (const viewer of this.viewers.values()) viewer.gone(reason);
    this.requestKeyframe();
  }

  #scheduleRequest(at: number): void {
    clearTimeout(this.#requestTimer);
    this.#requestDueAt = at;
    this.#requestTimer = setTimeout(
      () => {
        this.#requestDueAt = Number.POSITIVE_INFINITY;
        if (!this.needsKeyframe) return;
        this.#requestedAt = performance.now();
        this.#context.metrics.keyframesRequested.inc();
        this.publish({ t: 'key' }).catch(() => undefined);
        this.#scheduleRequest(this.#requestedAt + LIMITS.keyframeRepeatMs);
      },
      Math.max(0, at - performance.now()),
    );
  }
}

/** The holder without its lease, as every viewer may see it. */
export const publicHolder = (holder: Control | null): Holder | null => holder && Holder.parse(holder);

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
