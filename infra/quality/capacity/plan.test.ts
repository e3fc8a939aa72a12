import { expect, it } from 'vitest';
import { type Crowd, type Figures, plan } from './plan.ts';
import { prices, sizes } from './sizes.ts';

const figures: Figures = {
  measured: {
    relay: {
      nodes: 4000,
      sockets: 2,
      followed: 10,
      frames: 100,
      frameBytes: 0.01,
      deliveries: 10,
      deliveryBytes: 0.0001,
      acks: 20,
      events: 100,
      eventDeliveries: 10,
    },
    redis: {
      shards: 1000,
      naps: 20,
      sockets: 1,
      followed: 10,
      published: 30,
      publishedBytes: 0.001,
      appended: 150,
      copies: 8,
      frameBytes: 0.0001,
    },
    connectMs: 0.6,
    frameHeadBytes: 100,
    eventBytes: 250,
    nodeMb: 120,
    socketKb: 30,
    garbageMb: 100,
  },
  jobs: { queueUs: 100, changes: 4, changesPerSecond: 5000 },
  keyEveryMs: 200,
};
const screen = { fps: 20, frameBytes: 4000, keyBytes: 100_000, desktopMs: 100, bridgeMs: 40, desktopMb: 50 };
const crowd: Crowd = { viewers: 10_000, ofOneDesktop: 50, screen, events: 0 };
const planned = (change: Partial<Crowd>, than = sizes) =>
  plan({ ...crowd, ...change }, figures, than, prices);

it('plans the fewest relay nodes of which none is full, and at least the deployed minimum', () => {
  const { relay } = planned({});
  expect(relay.full).toBeLessThanOrEqual(1);
  const fewer = { ...sizes, relay: { ...sizes.relay, least: relay.nodes - 1 } };
  expect(planned({}, fewer).relay.nodes).toBe(relay.nodes);
  expect(planned({ viewers: 1 }).relay.nodes).toBe(sizes.relay.least);
});

it('limits the viewers of one owner on a node before all other limits', () => {
  const still = { ...screen, fps: 0.1 };
  const { relay } = planned({ viewers: 100_000, ofOneDesktop: Number.POSITIVE_INFINITY, screen: still });
  expect(relay.fullOf).toBe("one owner's sockets");
  expect(relay.nodes).toBe(100_000 / sizes.relay.socketsOfOneOwner);
});

it('sends a frame to fewer nodes when the viewers of a desktop are on the same nodes', () => {
  const [apart, together] = [planned({}), planned({ together: true })];
  expect(together.redis.messages).toBeLessThan(apart.redis.messages / 5);
  expect(together.relay.nodes).toBeLessThan(apart.relay.nodes);
});

it('plans replicas for one desktop with too many nodes for a server, and shards for many desktops', () => {
  const event = planned({ viewers: 3_000_000, ofOneDesktop: Number.POSITIVE_INFINITY });
  expect(event.redis.shards).toBe(1);
  expect(event.redis.servers).toBeGreaterThan(2);
  expect(planned({ viewers: 1_000_000 }).redis.shards).toBeGreaterThan(1);
});

it('plans as many desktops on a host as its memory and processors allow', () => {
  expect(planned({}).hosts).toMatchObject({ fullOf: 'CPU', each: 40 });
  expect(planned({ screen: { ...screen, desktopMs: 10 } }).hosts).toMatchObject({
    fullOf: 'memory',
    each: 48,
  });
});

it('charges each tier of egress at its own price', () => {
  const { cost, viewerKb } = planned({ viewers: 100_000 });
  const gb = (100_000 * viewerKb * 3600) / 1e6;
  expect(gb).toBeGreaterThan(10_000);
  expect(cost.egress).toBeCloseTo(10_000 * 0.09 + (gb - 10_000) * 0.085);
});
