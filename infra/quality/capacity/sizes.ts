import { LIMITS } from '../../../relay/limits.ts';

/**
 * What machines are taken to do. Assumptions: put in your own. Utilisation: of one processor or of the machine, at which
 * it counts as full; the rest is for bursts and for a peer that fails.
 */
export const sizes = {
  /** A task of 1 vCPU and 2 GB (`infra/cloud/stage.ts`); Node uses one processor. What such a task may send is not published. */
  relay: {
    utilisation: 0.6,
    gbit: 0.6,
    memoryMb: 2048,
    /** `SOCKETS_PER_TASK` in `infra/cloud/relay.ts`. */
    sockets: 2000,
    /** Viewers by a share link count as the owner's. */
    socketsOfOneOwner: LIMITS.connectionsPerUser,
    /** `infra/cloud/stage.ts`. */
    least: 3,
    most: 60,
  },
  /** `m7g.large`: baseline and burst of its network. A primary and its replicas. */
  redis: { utilisation: 0.6, gbit: 0.937, burstGbit: 12.5, replicas: 5 },
  /** `g6.2xlarge`; memory is kept for the system, the worker and the model server. */
  host: { cpus: 8, memoryMb: 32_768, keptMb: 8192, utilisation: 0.7, workerUtilisation: 0.6, most: 40 },
  /** Of a desktop by default (`shared/contract/containers.ts`): its limit, which it may use to the full. Lifetime for the rate of starts. */
  desktop: { memoryMb: 512, lifetimeS: 3600 },
  /** All viewers of an event come within this time. */
  joinS: 60,
};
export type Sizes = typeof sizes;

/**
 * US dollars, on demand, without discounts: list prices of AWS in us-east-1 as they were known in 2025, not looked up
 * for this page. Assumptions: put in your own.
 */
export const prices = {
  asOf: '2025',
  relayHour: 0.0494,
  redisHour: 0.126,
  hostHour: 0.978,
  /** The ledger and its replica, the queue Redis, three balancers. */
  restHour: 1.1,
  /** What a balancer passes on, and what crosses zones: both directions. */
  balancerGb: 0.008,
  zoneGb: 0.02,
  /** Of what Redis sends, this goes to another zone. */
  zoneShare: 2 / 3,
  /** To the internet, in a month that has no other traffic: up to so many GB, each at so much. */
  egressGb: [
    [10_000, 0.09],
    [50_000, 0.085],
    [150_000, 0.07],
    [Number.POSITIVE_INFINITY, 0.05],
  ] as [number, number][],
};
export type Prices = typeof prices;
