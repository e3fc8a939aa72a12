import { ACK_EVERY_BYTES, ACK_EVERY_MS } from '@warmwind/shared/contract/screen';

/** The viewers and desktops. A viewer is one socket that watches one desktop and follows its room. */
export type Workload = {
  viewers: number;
  /** Desktops that are watched, each by the same number of viewers. */
  desktops: number;
  /** Frames a second of one desktop, and mean bytes of one: the load is linear in them. */
  fps: number;
  frameBytes: number;
  /** Recorded events a second of one desktop's room. */
  events: number;
};

/** Events of each kind in a second, over all nodes. */
export type Load = {
  /** Relay nodes, and sockets that are open on them. */
  nodes: number;
  sockets: number;
  /** Desktops that are followed, screen and room, each counted at every node that follows it. */
  followed: number;
  /** Servers of the realtime Redis. */
  shards: number;
  /** How often a server is woken from sleep by a publication: see `NAPS`. */
  naps: number;
  /** Frames that hosts publish. */
  published: number;
  publishedBytes: number;
  /** Events that are appended to rooms. */
  appended: number;
  /** Messages that the realtime Redis sends to nodes: frames and events, each counted at every node. */
  copies: number;
  frames: number;
  frameBytes: number;
  events: number;
  /** Frames, their bytes and events that nodes send to viewers, and acknowledgements that they receive. */
  deliveries: number;
  deliveryBytes: number;
  eventDeliveries: number;
  acks: number;
};
export type Term = keyof Load;

/** Costs in µs of one processor. */
export type Costs<T extends Term> = Record<T, number>;
export const RELAY_TERMS = [
  'nodes',
  'sockets',
  'followed',
  'frames',
  'frameBytes',
  'deliveries',
  'deliveryBytes',
  'acks',
  'events',
  'eventDeliveries',
] as const satisfies Term[];
export const REDIS_TERMS = [
  'shards',
  'naps',
  'sockets',
  'followed',
  'published',
  'publishedBytes',
  'appended',
  'copies',
  'frameBytes',
] as const satisfies Term[];
export type RelayCosts = Costs<(typeof RELAY_TERMS)[number]>;
export type RedisCosts = Costs<(typeof REDIS_TERMS)[number]>;

/** The expected number of nodes that have at least one of `viewersOfOne` viewers of a desktop. */
export type Spread = (nodes: number, viewersOfOne: number) => number;
/** The spread of a balancer by least connections: each viewer may be on any node. */
export const anywhere: Spread = (nodes, viewersOfOne) => nodes * (1 - (1 - 1 / nodes) ** viewersOfOne);

/** A frame that is due this close to the end of a pause arrives before it as often as after it. */
const JITTER_MS = 2;

/**
 * Acknowledgements a second of one viewer: a frame begins a pause of `ACK_EVERY_MS`, which many bytes end
 * early.
 */
export function acksOf(fps: number, frameBytes: number): number {
  if (fps === 0) return 0;
  const within = (ms: number) => Math.floor((ms / 1000) * fps) + 1;
  const ofOnePause = (within(ACK_EVERY_MS - JITTER_MS) + within(ACK_EVERY_MS + JITTER_MS)) / 2;
  return fps / Math.min(ofOnePause, Math.ceil(ACK_EVERY_BYTES / frameBytes));
}

/**
 * The most wakes a second that cost extra. Up to this rate a server sleeps between publications, which makes
 * each dearer; above it the server stays awake.
 */
export const NAPS = 100;

/** Computes the load of a workload on a number of nodes. */
export function loadOf(workload: Workload, nodes: number, spread = anywhere): Load {
  const { viewers, desktops, fps, frameBytes, events } = workload;
  const receivedFrames = desktops === 0 ? 0 : desktops * spread(nodes, viewers / desktops);
  return {
    nodes,
    sockets: viewers,
    followed: receivedFrames,
    shards: 1,
    naps: Math.min(desktops * (fps + events), NAPS),
    published: desktops * fps,
    publishedBytes: desktops * fps * frameBytes,
    appended: desktops * events,
    copies: receivedFrames * (fps + events),
    frames: receivedFrames * fps,
    frameBytes: receivedFrames * fps * frameBytes,
    events: receivedFrames * events,
    deliveries: viewers * fps,
    deliveryBytes: viewers * fps * frameBytes,
    eventDeliveries: viewers * events,
    acks: viewers * acksOf(fps, frameBytes),
  };
}

/** Processor time, ms a second. */
export function cpuMs<T extends Term>(load: Load, costs: Costs<T>): number {
  const terms = Object.entries(costs) as [T, number][];
  return terms.reduce((sum, [term, us]) => sum + load[term] * us, 0) / 1000;
}
