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
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { truncateText } from '@warmwind/shared/runtime/text';
import type { Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Prebuilt } from '../sockets/prebuilt.ts';
import type { RelayServer } from '../sockets/socket.ts';
import { type ControlState, changesHolder } from './control.ts';
import { Frame } from './frame.ts';
import type { Viewer } from './viewer.ts';

/** What every screen of a node works with. */
export type ScreenContext = { io: RelayServer; realtime: Redis; metrics: Metrics; log: Logger };

/**
 * One desktop's screen on one node: passes what its host publishes on to the viewers here, and asks the host for a key
 * while one of them lacks it. A key goes to those who need it, a delta to those who have all before it.
 */
export class Screen {
  readonly containerId: string;
  readonly owner: string;
  readonly channel: string;
  /** By viewer id. */
  readonly viewers = new Map<string, Viewer>();
  /** Resolves once the channel is subscribed. */
  readonly opened: Promise<unknown>;
  /** Who is about to watch: the screen is kept for them. */
  expected = 0;
  /** Nobody hears what the host is told. */
  away = false;
  control: ControlState = { lease: 0, holder: null };
  readonly #context: ScreenContext;
  /** Something may have been missed: the next key tells. */
  #unsure = false;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: NodeJS.Timeout | undefined;
  /** When the host is asked next. */
  #askAt = Number.POSITIVE_INFINITY;

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

  /** Does anyone here lack a key that could be sent now? */
  get needsKeyframe(): boolean {
    return this.#unsure || this.viewers.values().some((viewer) => viewer.waits);
  }

  add(viewer: Viewer): void {
    this.viewers.set(viewer.id, viewer);
    if (this.away) viewer.gone(HOST_AWAY);
    this.ask();
  }

  /** A message of the channel. */
  receive(message: Buffer): void {
    const head = message.length <= MAX_FRAME_BYTES ? readFrameHead(message) : undefined;
    if (!head) {
      this.#context.log.warn(
        { container: this.containerId, bytes: message.length },
        'a frame was unreadable',
      );
      return;
    }
    const payload = message.subarray(FRAME_HEAD_BYTES);
    if (head.kind === 'delta') this.#delta(head, payload);
    else if (head.kind === 'key') this.#key(head, payload);
    else if (head.kind === 'cut') {
      const text = truncateText(payload.toString('utf8', 0, 4 * MAX_CLIPBOARD_CHARS), MAX_CLIPBOARD_CHARS);
      this.#emitClipboard('vnc:cut', { text });
    } else if (head.kind === 'cutTooLong') this.#emitClipboard('vnc:cutTooLong', {});
    else if (head.kind === 'dropped') this.#dropped(payload.toString('utf8', 0, 1000));
    else this.#gone(payload.toString('utf8', 0, 1000));
  }

  /** Asks the host for a key, now or as soon as it may be asked again, and again until all have one. */
  ask(): void {
    const at = Math.max(performance.now(), this.#askedAt + LIMITS.keyGapMs);
    if (at < this.#askAt) this.#askAfter(at);
  }

  /** Messages may have been missed. */
  doubt(): void {
    this.#unsure = true;
    this.ask();
  }

  /** What has become known of the control; viewers are told what is news. */
  learn(next: ControlState): void {
    if (!changesHolder(this.control, next)) return;
    this.control = { lease: next.lease, holder: next.holder };
    this.holding?.active();
    for (const { socket } of this.viewers.values()) {
      socket.emit('vnc:control', { containerId: this.containerId, holder: publicHolder(next.holder) });
    }
  }

  /** A viewer asks for control: those of this node who can grant or release it are notified. */
  requested(viewer: Requester): void {
    for (const other of this.viewers.values()) {
      if (other.id === viewer.viewerId || !(other.governs || other === this.holding)) continue;
      const { containerId } = this;
      other.socket.emit('vnc:request', { containerId, viewer } satisfies ControlRequest);
    }
  }

  /** The viewer of this node that holds control. */
  get holding(): Viewer | undefined {
    return this.viewers.get(holdingViewer(this.control.holder) ?? '');
  }

  /** → how many have heard it, as far as Redis knows. Rejects while Redis is away. */
  async publish(message: ToHost): Promise<number> {
    const { realtime } = this.#context;
    const count = Number(await realtime.spublish(screenKeys.up(this.containerId), JSON.stringify(message)));
    this.receivedBy(count);
    return count;
  }

  /** How many hear what the host is told. While nobody does the picture stands still: viewers are told, and lack a key. */
  receivedBy(listeners: number): void {
    const away = listeners === 0;
    if (this.away === away || this.viewers.size === 0) return;
    this.away = away;
    if (away) this.#gone(HOST_AWAY);
    // It may have missed that a key was let go of.
    else if (this.holding) this.publish({ t: 'release' }).catch(() => undefined);
  }

  close(): void {
    clearTimeout(this.#asking);
  }

  #delta(head: FrameHead, payload: Buffer): void {
    const frame = new Frame(head, ['vnc:frame', this.containerId, head.epoch, head.seq], payload);
    let sent = 0;
    let needsKeyframe = false;
    for (const viewer of this.viewers.values()) {
      if (viewer.delta(frame)) sent += 1;
      else needsKeyframe ||= viewer.waits;
    }
    const { framesSent, framesDropped } = this.#context.metrics;
    framesSent.inc(sent);
    if (sent < this.viewers.size) framesDropped.inc(this.viewers.size - sent);
    if (needsKeyframe) this.ask();
  }

  #key(head: FrameHead, payload: Buffer): void {
    const { epoch, seq, width, height } = head;
    const frame = new Frame(head, ['vnc:key', this.containerId, epoch, seq, width, height], payload);
    this.#unsure = false;
    this.receivedBy(1);
    let sent = 0;
    for (const viewer of this.viewers.values()) if (viewer.key(frame)) sent += 1;
    this.#context.metrics.framesSent.inc(sent);
  }

  #emitClipboard(name: 'vnc:cut' | 'vnc:cutTooLong', message: { text?: string }): void {
    const { containerId } = this;
    const event = new Prebuilt([name, { containerId, ...message }]);
    for (const viewer of this.viewers.values()) viewer.sendClipboard(event);
  }

  /** The host's count of what it dropped of one viewer's input. */
  #dropped(text: string): void {
    const dropped = HostDropped.safeParse(parse(text)).data;
    const viewer = this.viewers.get(dropped?.viewerId ?? '');
    if (dropped) viewer?.dropped(dropped.reason, publicHolder(this.control.holder), dropped.count);
  }

  #gone(reason: string): void {
    for (const viewer of this.viewers.values()) viewer.gone(reason);
    this.ask();
  }

  #askAfter(at: number): void {
    clearTimeout(this.#asking);
    this.#askAt = at;
    this.#asking = setTimeout(
      () => {
        this.#askAt = Number.POSITIVE_INFINITY;
        if (!this.needsKeyframe) return;
        this.#askedAt = performance.now();
        this.#context.metrics.keyframesRequested.inc();
        this.publish({ t: 'key' }).catch(() => undefined);
        this.#askAfter(this.#askedAt + LIMITS.keyRepeatMs);
      },
      Math.max(0, at - performance.now()),
    );
  }
}

/** A holder as all may see it. */
export const publicHolder = (holder: Control | null): Holder | null => holder && Holder.parse(holder);

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
