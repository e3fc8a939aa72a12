import { LIMITS } from '../../../relay/limits.ts';

/**
 * The assumed capacity of machines: replace it by yours. Utilisation: of one processor or of the machine,
 * above which it counts as full; the rest is for bursts and for the failure of a peer.
 */
export const sizes = {
  /**
   * A task of 1 vCPU and 2 GB (`infra/cloud/stage.ts`); Node uses one processor. Its network is an estimate.
   */
  relay: {
    utilisation: 0.6,
    gbit: 0.6,
    memoryMb: 2048,
    /** `SOCKETS_PER_TASK` in `infra/cloud/relay.ts`. */
    sockets: 2000,
    /** Viewers by a share link count towards the owner's limit. */
    socketsOfOneOwner: LIMITS.connectionsPerUser,
    /** `infra/cloud/stage.ts`. */
    least: 3,
    most: 60,
  },
  /** `m7g.large`: baseline and burst of its network. `replicas`: at most, of one primary. */
  redis: { utilisation: 0.6, gbit: 0.937, burstGbit: 12.5, replicas: 5 },
  /** `g6.2xlarge`; memory is kept for the system, the worker and the model server. */
  host: { cpus: 8, memoryMb: 32_768, keptMb: 8192, utilisation: 0.7, workerUtilisation: 0.6, most: 40 },
  /**
   * Default memory limit (`shared/contract/containers.ts`), of which all may be used; lifetime for the rate
   * of starts.
   */
  desktop: { memoryMb: 512, lifetimeS: 3600 },
  /** All viewers of an event join within this time. */
  joinS: 60,
};
export type Sizes = typeof sizes;

/**
 * US dollars, on demand, without discounts: AWS list prices in us-east-1 as known in 2025, not verified
 * since. Replace them by yours.
 */
export const prices = {
  asOf: '2025',
  relayHour: 0.0494,
  redisHour: 0.126,
  hostHour: 0.978,
  /** The ledger and its replica, the queue Redis, three balancers. */
  restHour: 1.1,
  /** Per GB through a balancer, and per GB between zones, both directions. */
  balancerGb: 0.008,
  zoneGb: 0.02,
  /** The share of Redis's traffic that goes to another zone. */
  zoneShare: 2 / 3,
  /**
   * To the internet, in a month without other traffic: pairs of an upper bound in GB and the price of a GB.
   */
  egressGb: [
    [10_000, 0.09],
    [50_000, 0.085],
    [150_000, 0.07],
    [Number.POSITIVE_INFINITY, 0.05],
  ] as [number, number][],
};
export type Prices = typeof prices;
