import type { Calibration } from './calibrate.ts';
import { anywhere, cpuMs, type Load, loadOf, type Spread, type Workload } from './load.ts';
import type { ScreenFigures } from './screens.ts';
import type { Prices, Sizes } from './sizes.ts';

/**
 * A number of viewers, at most `ofOneDesktop` of each desktop; all desktops show the same kind of content.
 */
export type Crowd = {
  viewers: number;
  ofOneDesktop: number;
  screen: ScreenFigures;
  events: number;
  /** The balancer sends a desktop's viewers to as few nodes as possible. */
  together?: boolean;
};
export type Figures = { measured: Calibration; jobs: JobFigures; keyEveryMs: number };
/** µs of processor time of a job; ledger changes of a desktop, and how many one process moves a second. */
export type JobFigures = { queueUs: number; changes: number; changesPerSecond: number };

export type Plan = ReturnType<typeof plan>;

/**
 * Plans the machines of a crowd. Rates are a second, network in Gbit/s, CPU in processors, cost in dollars an
 * hour.
 */
export function plan(crowd: Crowd, figures: Figures, sizes: Sizes, prices: Prices) {
  const { viewers, ofOneDesktop, screen, events } = crowd;
  const desktops = Math.max(1, Math.ceil(viewers / ofOneDesktop));
  const { fps, frameBytes } = screen;
  const workload: Workload = { viewers, desktops, fps, frameBytes, events };
  const { frameHeadBytes, eventBytes } = figures.measured;
  const viewerBytes = fps * (frameBytes + frameHeadBytes) + events * eventBytes;

  const spread: Spread = crowd.together ? (nodes, of) => Math.max(1, (of * nodes) / viewers) : anywhere;
  const relay = relayNodes(workload, viewerBytes, figures.measured, sizes, spread);
  const { load } = relay;
  const redis = redisServers(load, desktops, crowd, figures, sizes);
  const hosts = desktopHosts(desktops, screen, sizes);
  const starts = desktops / sizes.desktop.lifetimeS;
  const { queueUs, changes, changesPerSecond } = figures.jobs;

  const gbOut = (viewers * viewerBytes * 3600) / 1e9;
  const gbBetween = (redis.gbit / 8) * 3600 * prices.zoneShare;
  const cost = {
    relay: relay.nodes * prices.relayHour,
    redis: redis.servers * prices.redisHour,
    hosts: hosts.hosts * prices.hostHour,
    rest: prices.restHour,
    passing: gbOut * prices.balancerGb + gbBetween * prices.zoneGb,
    egress: tiered(gbOut, prices.egressGb),
  };
  const total = Object.values(cost).reduce((sum, part) => sum + part, 0);
  return {
    desktops,
    viewerKb: viewerBytes / 1000,
    gbit: (viewers * viewerBytes * 8) / 1e9,
    relay,
    redis,
    hosts,
    jobs: {
      starts,
      queueCpus: (starts * queueUs) / 1e6,
      ledgerProcesses: (starts * changes) / changesPerSecond,
    },
    cost: { ...cost, total },
  };
}

/** Finds the fewest nodes of which none is full, and the resource that is closest to its limit. */
function relayNodes(
  workload: Workload,
  viewerBytes: number,
  measured: Calibration,
  sizes: Sizes,
  spread: Spread,
) {
  const { relay } = sizes;
  const { viewers, desktops } = workload;
  const at = (nodes: number) => {
    const load = loadOf(workload, nodes, spread);
    const each = viewers / nodes;
    const cpus = cpuMs(load, measured.relay) / 1000;
    const memoryMb = measured.nodeMb + measured.garbageMb + (each * measured.socketKb) / 1024;
    const full = {
      CPU: cpus / nodes / relay.utilisation,
      sockets: each / relay.sockets,
      "one owner's sockets": each / desktops / relay.socketsOfOneOwner,
      network: (each * viewerBytes * 8) / 1e9 / relay.gbit,
      memory: memoryMb / relay.memoryMb,
    };
    return { nodes, load, cpus, full, most: Math.max(...Object.values(full)) };
  };
  let found = at(relay.least);
  // The total need rises with the number of nodes, so this stops at the fewest that suffice.
  while (found.most > 1) found = at(Math.max(found.nodes + 1, Math.ceil(found.nodes * found.most - 1e-9)));
  const { nodes, load, cpus, full, most } = found;
  const fullOf = Object.entries(full).find(([, share]) => share === most)?.[0] ?? '';
  return { nodes, load, cpus, fullOf, full: most, socketsEach: viewers / nodes };
}

/**
 * Plans shards, and servers of each. A channel stays in its shard, so a desktop that exceeds one server is
 * read from replicas.
 */
function redisServers(load: Load, desktops: number, crowd: Crowd, figures: Figures, sizes: Sizes) {
  const { redis, joinS } = sizes;
  const cpus = cpuMs(load, figures.measured.redis) / 1000;
  const gbit = ((load.frameBytes + load.events * figures.measured.eventBytes) * 8) / 1e9;
  const need = Math.max(cpus / redis.utilisation, gbit / redis.gbit);
  const ofOneDesktop = Math.max(1, Math.ceil(need / desktops - 1e-9));
  const keyframes = Math.min(1000 / figures.keyEveryMs, crowd.viewers / desktops / joinS);
  const shards = ofOneDesktop > 1 ? desktops : Math.max(1, Math.ceil(need));
  return {
    cpus,
    gbit,
    messages: load.copies,
    shards,
    /** At least one replica, in case the primary fails. */
    servers: shards * Math.max(2, ofOneDesktop),
    /** A desktop has more readers than a primary and its replicas can serve. */
    beyondReplicas: ofOneDesktop > 1 + redis.replicas,
    /** While viewers join, a desktop's keyframes go to all nodes that follow it. */
    joinGbit: gbit + (keyframes * load.followed * crowd.screen.keyBytes * 8) / 1e9,
  };
}

function desktopHosts(desktops: number, screen: ScreenFigures, { host, desktop }: Sizes) {
  const byMemory = (host.memoryMb - host.keptMb) / desktop.memoryMb;
  const byCpu = (host.cpus * 1000 * host.utilisation) / (screen.desktopMs + screen.bridgeMs);
  const each = Math.floor(Math.min(byMemory, byCpu));
  const inUse = Math.min(each, desktops);
  return {
    each,
    fullOf: byMemory < byCpu ? 'memory' : 'CPU',
    hosts: Math.ceil(desktops / each),
    /** Worker processes of a host: one thread serves all bridges of a process. */
    workers: Math.ceil((inUse * screen.bridgeMs) / (1000 * host.workerUtilisation)),
  };
}

/** @param tiers pairs of an upper bound and the price of a unit below it */
function tiered(amount: number, tiers: [number, number][]): number {
  let [sum, from] = [0, 0];
  for (const [upTo, price] of tiers) {
    sum += Math.max(0, Math.min(amount, upTo) - from) * price;
    from = upTo;
  }
  return sum;
}
