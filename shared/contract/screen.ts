import { z } from 'zod';
import { screenKey } from '../engine/keys.ts';
import { type Ack, MAX_MESSAGE_BYTES } from './tickets.ts';

/**
 * Screens. The host of a desktop is its only VNC client; it publishes what changes once, for every relay node that has
 * viewers. Both sides meet in the realtime Redis and nowhere else; all keys and channels of a desktop share a slot.
 */
export const screenKeys = {
  /** Sharded channel, host → relays: frames in the binary form below. Its subscribers tell the host that somebody watches. */
  down: (containerId: string) => screenKey(containerId, 'down'),
  /** Sharded channel, relays → host: `ToHost` as JSON. */
  up: (containerId: string) => screenKey(containerId, 'up'),
  /** String: `Control` as JSON, who may send input; expires when its holder vanishes. */
  control: (containerId: string) => screenKey(containerId, 'control'),
  /** String: the last lease of control that there has been. */
  leases: (containerId: string) => screenKey(containerId, 'leases'),
  /** String: `Held` as JSON, while a button of the pointer is pressed: for the host's next process. Expires by itself. */
  held: (containerId: string) => screenKey(containerId, 'held'),
  /** Hash: `<node> <viewer id>` → `Viewer` as JSON with the time until which its node vouches for it. */
  viewers: (containerId: string) => screenKey(containerId, 'viewers'),
};

/** What a viewer may be owed at once, bytes: one that never acknowledges gets this much and then nothing. */
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
/** The longest text of a desktop's clipboard that its viewers are told. */
export const MAX_CLIPBOARD_CHARS = 256 * 1024;
/** The longest text that a viewer may put on it, bytes as JSON in UTF-8: a whole `vnc:input` fits into a message. */
export const MAX_OFFER_BYTES = MAX_MESSAGE_BYTES - 2048;
export const fitsClipboard = (text: string): boolean =>
  text.length <= MAX_OFFER_BYTES && new TextEncoder().encode(JSON.stringify(text)).length <= MAX_OFFER_BYTES;
/** `vnc:gone` for this reason: nobody hears what the desktop's host is told. Input is lost until the next key. */
export const HOST_AWAY = 'host_away';

/** Of a desktop's screen, pixels. */
export const SIZES = { least: { width: 320, height: 240 }, most: { width: 3840, height: 2160 } } as const;

/** `vnc:input`: what a viewer does. Coordinates in pixels, `mask` is RFB's button mask, `keysym` X11's. */
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

/** Whether a US keyboard has a key for it: for others the desktop has to change its keymap first. */
export const isOnLayout = (keysym: number): boolean =>
  keysym < 0x7f || (keysym >= 0xfe00 && keysym <= 0xffff);

const UserId = z.string().max(128);
/** A guest by a share link; `userId` is the owner who made the link. Relays before this release send no `type`. */
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
/** A program that acts by calls and watches nothing; `credential` is the id of what it authenticates with, not a secret. */
const AgentHolder = z.object({ type: z.literal('agent'), userId: UserId, credential: z.string().max(128) });

const lease = z.number().int().min(1);
/**
 * The holder of control and its lease, which rises with every change of hands: the host drops input under an older one
 * as well.
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

/** @returns the viewer that holds control; `undefined` when an agent does, or nobody */
export const holdingViewer = (holder: Holder | null): string | undefined =>
  holder === null || holder.type === 'agent' ? undefined : holder.viewerId;

/** Where a button of the pointer was pressed, pixels. */
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
/** The answer of `vnc:control`: who holds it now, be it the caller or another. */
export const ControlAnswer = z.object({ holder: Holder.nullable() });
export type ControlAck = Ack<z.infer<typeof ControlAnswer>>;

/**
 * `request` takes control when it is free, and asks for it otherwise; `take` is for the owner, as is `grant`, which
 * gives control to the viewer of `viewerId`.
 */
export const ControlAction = z.enum(['request', 'release', 'take', 'grant']);
export type ControlAction = z.infer<typeof ControlAction>;

/** `vnc:request`, to the owner's viewers and to the holder: a viewer asks for control that another holds. */
export const ControlRequest = z.object({ containerId: z.string(), viewer: Requester });
export type ControlRequest = z.infer<typeof ControlRequest>;

/** Why input did not reach the desktop, and what its viewer reads of it. */
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
  count: z.number().int().describe('Inputs since the last notice; moves of the pointer are not counted.'),
  holder: Holder.nullable(),
  message: z.string(),
});
export type InputDropped = z.infer<typeof InputDropped>;

/** The host's count of what it dropped of one viewer's input, as a frame of the kind `dropped`. */
export const HostDropped = z.object({
  viewerId: z.string(),
  reason: z.enum(['not_holder', 'too_many', 'no_desktop']),
  count: z.number().int().min(1),
});
export type HostDropped = z.infer<typeof HostDropped>;

/** Who watches, as its owner sees it. `id` is unique to the socket and desktop. */
export const Viewer = z
  .object({
    id: z.string().describe('Unique to the socket and container.'),
    userId: z.string().describe('The user, or of a guest the owner of its link.'),
    /** The ticket or share link by which it came. */
    ticketId: z.string().describe('The ticket or share link by which it came.'),
    /** It is a guest with a share link: `userId` is who made that. */
    shared: z.boolean().default(false).describe('It is a guest with a share link.'),
    mode: z.enum(['view', 'control']).describe('What its ticket permits.'),
    control: z.boolean().describe('It holds control.'),
    /** ISO 8601, since when. */
    since: z.iso.datetime().describe('Since when, in UTC.'),
  })
  .meta({ id: 'Viewer' });
export type Viewer = z.infer<typeof Viewer>;

/** The answer of `GET /containers/:id/viewers`. */
export const Viewers = z
  .object({
    items: z.array(Viewer).describe('The viewers on all nodes, the first to come first.'),
    control: Holder.nullable().describe('The holder of control.'),
  })
  .meta({ id: 'Viewers' });
export type Viewers = z.infer<typeof Viewers>;

/** The answer of `vnc:viewers`. */
export type ViewersAck = Ack<Viewers>;

/** The relay over HTTP, with the owner's ticket: who watches a desktop, and what is on its screen. */
export const viewersPath = (containerId: string): string => `/containers/${containerId}/viewers`;
export const viewerPath = (containerId: string, viewerId: string): string =>
  `/containers/${containerId}/viewers/${viewerId}`;
export const screenshotPath = (containerId: string, format: 'png' | 'jpeg'): string =>
  `/containers/${containerId}/screenshot?format=${format}`;

/** What relays tell a desktop's host. */
export const ToHost = z.discriminatedUnion('t', [
  /** A viewer needs the whole picture; said again until it comes. It also wakes the stream. */
  z.object({ t: z.literal('key') }),
  /** The lease of control changed: read it again, and release what the last holder holds down. */
  z.object({ t: z.literal('control') }),
  /** Something may have been lost on its way: let go of what is held down. */
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
 * What comes down: `delta` and `key` carry an RFB FramebufferUpdate message of self-contained rectangles. A key repaints
 * all as of `seq`; the delta `seq + 1` follows it. A new `epoch` begins with a key. `cut` carries the desktop's clipboard
 * as UTF-8, `cutTooLong` (empty) says that it is longer than is told; `gone` says that the stream ended (UTF-8: why) and
 * that nothing comes before the next key; `dropped` is a `HostDropped` as JSON.
 */
export const FRAME_KINDS = ['delta', 'key', 'cut', 'gone', 'cutTooLong', 'dropped'] as const;
export type FrameKind = (typeof FRAME_KINDS)[number];

/** `epoch` is unique to one run of the stream, and rises. Pixels. */
export type FrameHead = { kind: FrameKind; epoch: number; seq: number; width: number; height: number };

/** Bytes before a frame's own: kind (1), version (1), width, height (2 each), zero (2), epoch (8, float), seq (4). */
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

/** `undefined` when it is none that this version can read. */
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
