import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Edit, PLATFORM_WITHIN_MS, Tree } from './diff.ts';
import { RULES } from './rules/all.ts';

let tree: Tree;

beforeAll(async () => {
  tree = await Tree.create();
}, PLATFORM_WITHIN_MS);
afterAll(() => tree?.remove());

/** The queue Redis in our network, behind our gateway: the same one setting in `dev`. */
const OWN_QUEUE: Edit = {
  file: 'infra/cloud/stage.ts',
  from: "queue: 'upstash',\n  zones: 2",
  to: "queue: 'elasticache',\n  zones: 2",
};

/** All violations that the rules report. */
async function violations(edits: Edit[]): Promise<string[]> {
  const deployed = await tree.diff('dev', edits);
  return RULES.flatMap((rule) => rule.violations(deployed));
}

it('with the queue Redis in our network every guarantee holds too', async () => {
  expect(await violations([OWN_QUEUE])).toEqual([]);
});

type Mistake = { what: string; edits: Edit[]; caught: RegExp };

const MISTAKES: Mistake[] = [
  {
    what: 'a Redis that the internet reaches',
    edits: [
      {
        file: 'infra/cloud/network.ts',
        from: "fromAnywhere('relayBalancer');",
        to: "fromAnywhere('relayBalancer');\nfromAnywhere('realtime');",
      },
    ],
    caught: /realtimeFromAnywhere lets everybody in/,
  },
  {
    what: 'a Redis in the network’s common group',
    edits: [
      { file: 'infra/cloud/redis.ts', from: 'securityGroups: [group.id]', to: 'securityGroups: [vpc.id]' },
    ],
    caught: /RealtimeCluster is in another group/,
  },
  {
    what: 'a group that was not attached: the relay can’t reach Redis',
    edits: [{ file: 'infra/cloud/network.ts', from: "allow('relay', 'realtime', PORTS.redis);", to: '' }],
    caught: /missing: Relay → Realtime:6379/,
  },
  {
    what: 'a link that is missing',
    edits: [{ file: 'infra/cloud/edge.ts', from: ' restToken, ledgerDb', to: ' ledgerDb' }],
    caught: /QueueToken is not linked/,
  },
  {
    what: 'a database that is not bound',
    edits: [{ file: 'infra/cloud/edge.ts', from: ', ledgerReadDb]', to: ']' }],
    caught: /LedgerReadDb is not bound/,
  },
  {
    what: 'a service whose scale each deployment sets back',
    edits: [{ file: 'infra/cloud/service.ts', from: "options.ignoreChanges = ['desiredCount'];", to: '' }],
    caught: /RelayService is scaled by each deployment/,
  },
  {
    what: 'a log of the platform that holds the addresses of requests',
    edits: [{ file: 'infra/cloud/edge.ts', from: 'invocationLogs: false', to: 'invocationLogs: true' }],
    caught: /Edge.* logs its invocations/,
  },
  {
    what: 'a secret in a container’s plain environment',
    edits: [
      {
        file: 'infra/cloud/relay.ts',
        from: 'environment: {',
        to: 'environment: { AUTH_SECRET: authSecret.value,',
      },
    ],
    caught: /Relay: AUTH_SECRET/,
  },
  {
    what: 'a secret in the Worker’s plain variables',
    edits: [
      {
        file: 'infra/cloud/edge.ts',
        from: 'environment: {',
        to: 'environment: { UPSTASH_REDIS_REST_TOKEN: rest.token,',
      },
    ],
    caught: /EdgeScript: UPSTASH_REDIS_REST_TOKEN/,
  },
  {
    what: 'a balancer that asks the wrong path',
    edits: [{ file: 'infra/cloud/service.ts', from: "path: '/health/ready'", to: "path: '/'" }],
    caught: /RelayTarget\S* asks \//,
  },
  {
    what: 'a container that is killed while it drains',
    edits: [{ file: 'infra/cloud/stage.ts', from: 'STOP_TIMEOUT_S = 40', to: 'STOP_TIMEOUT_S = 20' }],
    caught: /Relay is stopped after 20 s/,
  },
  {
    what: 'a queue that may evict',
    edits: [OWN_QUEUE, { file: 'infra/cloud/redis.ts', from: "'noeviction'", to: "'allkeys-lru'" }],
    caught: /the queue may evict/,
  },
  {
    what: 'a host whose credentials a desktop can fetch',
    edits: [
      { file: 'infra/cloud/gpu.ts', from: 'httpPutResponseHopLimit: 1', to: 'httpPutResponseHopLimit: 2' },
    ],
    caught: /containers reach the metadata/,
  },
  {
    what: 'a board that listens to others than its host',
    edits: [{ file: 'infra/cloud/gpu-host/boot.sh', from: 'BIND=127.0.0.1', to: 'BIND=0.0.0.0' }],
    caught: /the board listens to others than its host/,
  },
  {
    what: 'a way from outside to the board',
    edits: [
      {
        file: 'infra/cloud/network.ts',
        from: "allow('relayBalancer', 'relay', PORTS.relay);",
        to: "allow('relayBalancer', 'relay', PORTS.relay);\nallow('relayBalancer', 'worker', 8796);",
      },
    ],
    caught: /one too many: RelayBalancer → Worker:8796/,
  },
  {
    what: 'the board’s password in the description of a host',
    edits: [
      {
        file: 'infra/cloud/gpu.ts',
        from: '    GROUP: group,',
        to: '    GROUP: group,\n    ADMIN_PASSWORD: secret,',
      },
      {
        file: 'infra/cloud/gpu.ts',
        from: '.apply(([at, worker, desktops]) =>',
        to: '.apply(([at, worker, desktops, secret]) =>',
      },
      {
        file: 'infra/cloud/gpu.ts',
        from: '[region, images.worker, images.desktops]',
        to: '[region, images.worker, images.desktops, adminPassword]',
      },
    ],
    caught: /GpuTemplate: user data/,
  },
  {
    what: 'an image that the edge offers and no host has',
    edits: [
      {
        file: 'infra/cloud/edge.ts',
        from: 'Object.fromEntries(stage.desktops',
        to: "Object.fromEntries([...stage.desktops, 'desktop-cad']",
      },
    ],
    caught: /no host has warmwind\/desktop-cad:latest/,
  },
  {
    what: 'a variable that no service reads',
    edits: [
      { file: 'infra/cloud/relay.ts', from: 'environment: {', to: "environment: { RELAY_ORIGINS: '*'," },
    ],
    caught: /relay does not read RELAY_ORIGINS/,
  },
  {
    what: 'a setting that is off unless it is given, and is not',
    edits: [{ file: 'infra/cloud/gpu-host/boot.sh', from: 'ADMIN_PORT=8796\n', to: '' }],
    caught: /worker is not given ADMIN_PORT/,
  },
  {
    what: 'a variable that the relay asks for and does not get',
    edits: [{ file: 'infra/cloud/relay.ts', from: 'REDIS_REALTIME_URL: realtime.url,', to: '' }],
    caught: /REDIS_REALTIME_URL/,
  },
];

describe('a planted mistake is caught', () => {
  it.each(MISTAKES)('$what', async ({ edits, caught }) => {
    expect((await violations(edits)).join('\n')).toMatch(caught);
  });
});
