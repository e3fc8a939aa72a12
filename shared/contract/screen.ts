import { z } from 'zod';
import { screenKey } from '../engine/keys.ts';
import { charactersOf, typedText } from './actions/typed-text.ts';
import { type Ack, MAX_MESSAGE_BYTES } from './tickets.ts';

/**
 * Screens. The host of a desktop is its only VNC client; it publishes each change once, for all relay nodes
 * that have viewers. Hosts and relays exchange screens only through the realtime Redis; all keys and channels
 * of a desktop share a slot.
 */
export const screenKeys = {
  /**
   * Sharded channel from the host to relays: frames in the binary form below. The host streams while it has
   * subscribers.
   */
  down: (containerId: string) => screenKey(containerId, 'down'),
  /** Sharded channel from relays to the host: `ToHost` as JSON. */
  up: (containerId: string) => screenKey(containerId, 'up'),
  /** String: `Control` as JSON, the holder that may send input; expires unless the holder renews it. */
  control: (containerId: string) => screenKey(containerId, 'control'),
  /** String: the last lease of control that there has been. */
  leases: (containerId: string) => screenKey(containerId, 'leases'),
  /**
   * String: `Held` as JSON, while a button of the pointer is pressed: for the host's next process. Has a TTL.
   */
  held: (containerId: string) => screenKey(containerId, 'held'),
  /** String: `Held` as JSON, the place to which the pointer was moved last. Has a TTL. */
  pointer: (containerId: string) => screenKey(containerId, 'pointer'),
  /** Hash: `<node> <viewer id>` to `Viewer` as JSON, with the time until which its node vouches for it. */
  viewers: (containerId: string) => screenKey(containerId, 'viewers'),
};

/**
 * The most unacknowledged bytes of a viewer: one that never acknowledges receives this much and then nothing.
 */
export const VIEWER_WINDOW_BYTES = 2 ** 20;
/** A client acknowledges at least this often: ms, or bytes. */
export const ACK_EVERY_MS = 100;
export const ACK_EVERY_BYTES = 128 * 1024;
/** The largest frame that a relay takes, bytes. */
export const MAX_FRAME_BYTES = 16 * 2 ** 20;
/** How long control is held without being renewed, ms. */
export const CONTROL_TTL_MS = 10_000;
/** A holder whose last input is this old loses control, ms. */
export const CONTROL_IDLE_MS = 30_000;
/** How often a viewer's request for control is passed on to those who can grant it, ms. */
export const CONTROL_REQUEST_EVERY_MS = 2000;
/** The longest text of a desktop's clipboard that is sent to its viewers. */
export const MAX_CLIPBOARD_CHARS = 256 * 1024;
/**
 * The longest text that a viewer may put on it, bytes as JSON in UTF-8: a complete `vnc:input` fits into a
 * message.
 */
export const MAX_OFFER_BYTES = MAX_MESSAGE_BYTES - 2048;
export const fitsClipboard = (text: string): boolean =>
  text.length <= MAX_OFFER_BYTES && new TextEncoder().encode(JSON.stringify(text)).length <= MAX_OFFER_BYTES;
/**
 * The reason of `vnc:gone` while the desktop's host does not listen. Input is lost until the next keyframe.
 */
export const HOST_AWAY = 'host_away';

/** Of a desktop's screen, pixels. */
export const SIZES = { least: { width: 320, height: 240 }, most: { width: 3840, height: 2160 } } as const;

/** Most characters of a text that is typed by one input. */
export const MAX_TYPED_INPUT_CHARS = 4000;

/**
 * `vnc:input`: what a viewer does. Coordinates in pixels, `mask` is RFB's button mask, `keysym` X11's. `text`
 * is typed by the host, as fast as programs take it; other input waits for it.
 */
export const ScreenInput = z.discriminatedUnion('t', [
  z.strictObject({
    t: z.literal('key'),
    keysym: z.number().int().min(1).max(0x1fff_ffff),
    down: z.boolean(),
  }),
  z.strictObject({
    t: z.literal('ptr'),
    x: z.number().int().min(0).max(65_535),
    y: z.number().int().min(0).max(65_535),
    mask: z.number().int().min(0).max(255),
  }),
  z.strictObject({ t: z.literal('text'), text: typedText(MAX_TYPED_INPUT_CHARS) }),
  z.strictObject({
    t: z.literal('cut'),
    text: z.string().max(MAX_OFFER_BYTES).refine(fitsClipboard, 'a text of at most 62 KB, as JSON'),
  }),
  z.strictObject({
    t: z.literal('resize'),
    w: z.number().int().min(SIZES.least.width).max(SIZES.most.width),
    h: z.number().int().min(SIZES.least.height).max(SIZES.most.height),
  }),
]);
export type ScreenInput = z.infer<typeof ScreenInput>;

/** How many inputs it counts as when it is dropped: of a text, each character. */
export const inputsIn = (input: ScreenInput): number =>
  input.t === 'text' ? charactersOf(input.text).length : 1;

/** Does a US keyboard have a key for it? For others the desktop has to change its keymap first. */
export const isOnLayout = (keysym: number): boolean =>
  keysym < 0x7f || (keysym >= 0xfe00 && keysym <= 0xffff);

const UserId = z.string().max(128);
/**
 * A guest by a share link; `userId` is the owner who made the link. Relays before this release send no
 * `type`.
 */
const GuestHolder = z.object({
  type: z.literal('guest').default('guest'),
  viewerId: z.string().max(64),
  userId: UserId,
  shared: z.literal(true),
});
/** A viewer of the owner. */
const ViewerHolder = z.object({
  type: z.literal('viewer').default('viewer'),
  viewerId: z.string().max(64),
  userId: UserId,
});
/**
 * A program that acts by calls and watches nothing; `credential` is the id of what it authenticates with, not
 * a secret.
 */
const AgentHolder = z.object({ type: z.literal('agent'), userId: UserId, credential: z.string().max(160) });

const lease = z.number().int().min(1);
/**
 * The holder of control and its lease, which rises with every change of holder: the host drops input under an
 * older one as well.
 */
export const Control = z.union([
  GuestHolder.extend({ lease }),
  ViewerHolder.extend({ lease }),
  AgentHolder.extend({ lease }),
]);
export type Control = z.infer<typeof Control>;

/** The holder of control as every viewer may see it: a viewer of the owner, a guest or an agent. */
export const Holder = z.union([GuestHolder, ViewerHolder, AgentHolder]);
export type Holder = z.infer<typeof Holder>;
/** A viewer or guest that asks for control. */
export const Requester = z.union([GuestHolder, ViewerHolder]);
export type Requester = z.infer<typeof Requester>;

/** @returns the viewer that holds control; `undefined` when an agent does, or when control is free */
export const holdingViewer = (holder: Holder | null): string | undefined =>
  holder === null || holder.type === 'agent' ? undefined : holder.viewerId;

/** A place of the pointer, pixels. */
export const Held = z.object({
  x: z.number().int().min(0).max(65_535),
  y: z.number().int().min(0).max(65_535),
});

/** The answer of `vnc:watch`; `viewerId` is the caller's own. Pixels. */
export const WatchAnswer = z.object({
  mode: z.enum(['view', 'control']),
  width: z.number(),
  height: z.number(),
  viewerId: z.string(),
  holder: Holder.nullable(),
});
export type WatchAck = Ack<z.infer<typeof WatchAnswer>>;
/** The answer of `vnc:control`: the present holder, which may be the caller or another. */
export const ControlAnswer = z.object({ holder: Holder.nullable() });
export type ControlAck = Ack<z.infer<typeof ControlAnswer>>;

/**
 * `request` takes control when it is free, and asks for it otherwise; `take` is for the owner, as is `grant`,
 * which gives control to the viewer of `viewerId`.
 */
export const ControlAction = z.enum(['request', 'release', 'take', 'grant']);
export type ControlAction = z.infer<typeof ControlAction>;

/** `vnc:request`, to the owner's viewers and to the holder: a viewer asks for control that another holds. */
export const ControlRequest = z.object({ containerId: z.string(), viewer: Requester });
export type ControlRequest = z.infer<typeof ControlRequest>;

/** Why input did not reach the desktop, with the message for its viewer. */
export const DROPPED = {
  view: 'This ticket may only view: ask for one with mode "control".',
  not_holder: 'Another viewer controls this desktop: ask for control with vnc:control, action "request".',
  too_many: 'Too much input at once: send it more slowly.',
  host_away: 'The desktop’s host is away: send it again when the picture moves.',
  no_desktop: 'The desktop takes no input now: send it again in a moment.',
  not_watching: 'This screen is not watched here: send vnc:watch first.',
  invalid: 'This is no input: see ScreenInput.',
  disconnected: 'The relay is out of reach: send it again when the picture moves.',
} as const;
export type DroppedReason = keyof typeof DROPPED;

/** `vnc:dropped`: inputs of this viewer did not reach the desktop. About once a second for each reason. */
export const InputDropped = z.object({
  containerId: z.string(),
  reason: z.enum(Object.keys(DROPPED) as DroppedReason[]),
  count: z
    .number()
    .int()
    .describe('Inputs since the last notice: of a text each character, moves of the pointer not at all.'),
  holder: Holder.nullable(),
  message: z.string(),
});
export type InputDropped = z.infer<typeof InputDropped>;

/** The number of one viewer's inputs that the host dropped, as a frame of the kind `dropped`. */
export const HostDropped = z.object({
  viewerId: z.string(),
  reason: z.enum(['not_holder', 'too_many', 'no_desktop']),
  count: z.number().int().min(1),
});
export type HostDropped = z.infer<typeof HostDropped>;

/** A viewer, as the owner sees it. `id` is unique to the socket and desktop. */
export const Viewer = z
  .object({
    id: z.string().describe('Unique to the socket and container.'),
    userId: z.string().describe('The user, or of a guest the owner of its link.'),
    ticketId: z.string().describe('The ticket or share link by which it came.'),
    /** It is a guest with a share link: `userId` is the user who made the link. */
    shared: z.boolean().default(false).describe('It is a guest with a share link.'),
    mode: z.enum(['view', 'control']).describe('The mode that its ticket permits.'),
    control: z.boolean().describe('It holds control.'),
    since: z.iso.datetime().describe('When it began to watch, in UTC.'),
  })
  .meta({ id: 'Viewer' });
export type Viewer = z.infer<typeof Viewer>;

/** The answer of `GET /containers/:id/viewers`. */
export const Viewers = z
  .object({
    items: z.array(Viewer).describe('The viewers on all nodes, in the order in which they came.'),
    control: Holder.nullable().describe('The holder of control.'),
  })
  .meta({ id: 'Viewers' });
export type Viewers = z.infer<typeof Viewers>;

/** The answer of `vnc:viewers`. */
export type ViewersAck = Ack<Viewers>;

/** Paths of the relay over HTTP, for the owner's ticket: the viewers of a desktop, and a screenshot of it. */
export const viewersPath = (containerId: string): string => `/containers/${containerId}/viewers`;
export const viewerPath = (containerId: string, viewerId: string): string =>
  `/containers/${containerId}/viewers/${viewerId}`;
export const screenshotPath = (containerId: string, format: 'png' | 'jpeg'): string =>
  `/containers/${containerId}/screenshot?format=${format}`;

/** A message from a relay to a desktop's host. */
export const ToHost = z.discriminatedUnion('t', [
  /** A viewer needs a keyframe; sent again until one comes. It also wakes the stream. */
  z.object({ t: z.literal('key') }),
  /** The lease of control changed: read it again, and release the keys and buttons of the last holder. */
  z.object({ t: z.literal('control') }),
  /** Messages may have been lost: release all keys and buttons. */
  z.object({ t: z.literal('release') }),
  z.object({
    t: z.literal('input'),
    viewerId: z.string().max(64),
    lease: z.number().int().min(1),
    input: ScreenInput,
  }),
]);
export type ToHost = z.infer<typeof ToHost>;

/**
 * The kinds of frames that the host publishes. `delta` and `key` (a keyframe) carry an RFB FramebufferUpdate
 * message of self-contained rectangles. A keyframe repaints the complete screen as of `seq`; the delta with
 * the next number follows it. A new `epoch` begins with a keyframe. `cut` carries the desktop's clipboard as
 * UTF-8; `cutTooLong` (empty) reports that it is too long to be sent. `gone` reports that the stream ended
 * (UTF-8: why) and that no frame follows before the next keyframe. `dropped` is a `HostDropped` as JSON.
 */
export const FRAME_KINDS = ['delta', 'key', 'cut', 'gone', 'cutTooLong', 'dropped'] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

/** `epoch` is unique to one run of the stream, and rises. Pixels. */
export type FrameHead = { kind: FrameKind; epoch: number; seq: number; width: number; height: number };

/**
 * Bytes before a frame's own: kind (1), version (1), width, height (2 each), zero (2), epoch (8, float), seq
 * (4).
 */
export const FRAME_HEAD_BYTES = 20;
const VERSION = 1;

export function writeFrameHead(head: FrameHead, into: Uint8Array): void {
  const view = new DataView(into.buffer, into.byteOffset, FRAME_HEAD_BYTES);
  view.setUint8(0, FRAME_KINDS.indexOf(head.kind));
  view.setUint8(1, VERSION);
  view.setUint16(2, head.width);
  view.setUint16(4, head.height);
  view.setUint16(6, 0);
  view.setFloat64(8, head.epoch);
  view.setUint32(16, head.seq);
}

/**
 * Reads the head of a frame.
 * @returns `undefined` when this version can not read it
 */
export function readFrameHead(message: Uint8Array): FrameHead | undefined {
  if (message.byteLength < FRAME_HEAD_BYTES) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, FRAME_HEAD_BYTES);
  const kind = FRAME_KINDS[view.getUint8(0)];
  if (!kind || view.getUint8(1) !== VERSION) return undefined;
  return {
    kind,
    width: view.getUint16(2),
    height: view.getUint16(4),
    epoch: view.getFloat64(8),
    seq: view.getUint32(16),
  };
}
