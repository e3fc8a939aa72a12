import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isUserId } from '../contract/ids.ts';
import { screenKeys } from '../contract/screen.ts';
import { callKeys, keys, readUserKey, roomKeys } from './keys.ts';
import { hostQueue, QUEUES } from './queues.ts';
import { userOfTag, userTag } from './tags.ts';

const HOST = 'worker-1';
const CONTAINER = '1c9a2b3e-0000-4000-8000-000000000000';
/** Names of users that equal, or nearly equal, a name of something else. */
const NAMESAKES = [
  ...['hosts', 'models', 'ledger', 'observer', 'cancellations', 'user', 'ip', 'jobs'],
  ...QUEUES,
  ...[hostQueue(HOST), `host:${HOST}`, `screen:${CONTAINER}`, 'address:10.0.0.1', '10.0.0.1', 'unknown'],
  ...['job:1', 'a:job', 'a:job:1', '%6Dodels', 'host%3Aworker-1', 'a}:jobs', 'a b', 'é', 'auth0|1', 'a@b.c'],
];
const users = fc.oneof(
  fc.constantFrom(...NAMESAKES),
  fc.stringMatching(/^[a-z:@|._{}%-]{1,12}$/),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
);
const ids = fc.oneof(fc.constantFrom(CONTAINER, '1', 'jobs'), fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/));
const hosts = fc.constantFrom(HOST, 'containers', 'a');
const scopes = fc.constantFrom('user', 'containers.start', 'ip');
const addresses = fc.constantFrom('10.0.0.1', '2001:db8::', 'unknown');
const queues = fc.constantFrom(...QUEUES, hostQueue(HOST));
const rooms = fc.tuple(fc.constantFrom('job', 'container'), ids).map(([kind, id]) => `${kind}:${id}`);

/** Every maker of a key that contains a user's name, with its other arguments. */
const OF_USERS = {
  job: [keys.job, ids],
  jobs: [keys.jobs],
  openJobs: [keys.openJobs],
  input: [keys.input, ids],
  container: [keys.container, ids],
  containers: [keys.containers],
  openContainers: [keys.openContainers],
  idempotency: [keys.idempotency, ids],
  changes: [keys.changes],
  revoked: [keys.revoked],
  revokedBefore: [keys.revokedBefore],
  shareLinks: [keys.shareLinks],
  userLimits: [keys.userLimits],
  webhookDelivery: [keys.webhookDelivery, ids],
  webhookDeliveries: [keys.webhookDeliveries],
  limit: [keys.limit, scopes],
  log: [roomKeys.log, rooms],
  meta: [roomKeys.meta, rooms],
  channel: [roomKeys.channel, rooms],
} as const;
/** Every other maker. BullMQ appends the queue's name to its prefix. */
const OTHERS = {
  bullmqPrefix: [
    (queue: string, name: string) => `${keys.bullmqPrefix(queue)}:${queue}:${name}`,
    queues,
    ids,
  ],
  changedUsers: [keys.changedUsers],
  ledgerLease: [keys.ledgerLease],
  cancellations: [keys.cancellations],
  unpublishedEnds: [keys.unpublishedEnds],
  models: [keys.models],
  modelsLoading: [keys.modelsLoading],
  waitingForModel: [keys.waitingForModel, ids],
  addressLimit: [keys.addressLimit, addresses, scopes],
  hostLease: [keys.hostLease, hosts],
  hostContainers: [keys.hostContainers, hosts],
  hosts: [keys.hosts],
  hostMemory: [keys.hostMemory],
  hostResources: [keys.hostResources],
  drainingHosts: [keys.drainingHosts],
  waitingStarts: [keys.waitingStarts],
  waitingStartDetails: [keys.waitingStartDetails],
  reservations: [keys.reservations, hosts],
  processBeats: [keys.processBeats],
  processRecords: [keys.processRecords],
  deadProcesses: [keys.deadProcesses],
  processRecovery: [keys.processRecovery, hosts],
  observerLease: [keys.observerLease],
  observerCursor: [keys.observerCursor],
  ...Object.fromEntries(Object.entries(screenKeys).map(([name, make]) => [`screen.${name}`, [make, ids]])),
  ...Object.fromEntries(
    Object.entries(callKeys).map(([name, make]) => [
      `call.${name}`,
      [make, ids, ...(name === 'claim' || name === 'answer' ? [ids] : [])],
    ]),
  ),
};

type Make = (...parts: string[]) => string;
const named = Object.entries({ ...OF_USERS, ...OTHERS }).map(([name, entry]) => {
  const [make, ...args] = entry as unknown as [Make, ...fc.Arbitrary<string>[]];
  const parts = name in OF_USERS ? [users, ...args] : args;
  return fc.tuple(...parts).map((given) => ({ made: JSON.stringify([name, ...given]), key: make(...given) }));
});

test('every maker of keys is tested here', () => {
  const of = [
    ...Object.keys(keys),
    ...Object.keys(roomKeys),
    ...Object.keys(screenKeys).map((name) => `screen.${name}`),
    ...Object.keys(callKeys).map((name) => `call.${name}`),
  ];
  expect(Object.keys({ ...OF_USERS, ...OTHERS }).sort()).toEqual(of.sort());
});

test('no two makers, and no two users, hosts or ids, have a key or channel in common', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(...named), { minLength: 50, maxLength: 200 }), (all) => {
      const seen = new Map<string, string>();
      for (const { made, key } of all) {
        expect(seen.get(key) ?? made).toBe(made);
        seen.set(key, made);
      }
    }),
    { numRuns: 500 },
  );
});

test('a user with the name of a host, a queue or the fleet has none of their keys', () => {
  const others = new Set([
    keys.hostContainers(HOST),
    keys.bullmqPrefix('containers'),
    keys.models(),
    screenKeys.control(CONTAINER),
  ]);
  for (const user of NAMESAKES) {
    for (const [make] of Object.values(OF_USERS)) expect(others).not.toContain((make as Make)(user, '1'));
    for (const key of others) expect(readUserKey(key)).toBeUndefined();
  }
});

test("all of a user's keys and channels are in one slot, under a tag that no other user has", () => {
  const slotOf = (key: string) => /^[^{]*\{([^}]+)\}/.exec(key)?.[1];
  fc.assert(
    fc.property(users, users, (user, other) => {
      const slots = Object.values(OF_USERS).map(([make]) => slotOf((make as Make)(user, '1')));
      expect(new Set(slots)).toEqual(new Set([userTag(user)]));
      if (user !== other) expect(userTag(other)).not.toBe(userTag(user));
    }),
  );
});

test('the user of a key can be read from it, and usual ids are not escaped', () => {
  fc.assert(
    fc.property(users.filter(isUserId), ids, (user, id) => {
      expect(readUserKey(keys.job(user, id))).toEqual({ user, kind: 'job', id });
      expect(readUserKey(keys.jobs(user))).toEqual({ user, kind: 'jobs', id: '' });
    }),
  );
  for (const user of ['ada', 'auth0|5f7c', 'a.b@c.example', '00000000-0000-4000-8000-000000000000']) {
    expect(keys.jobs(user)).toBe(`ww:{${user}}:jobs`);
  }
  for (const tag of ['host:worker-1', 'models', '%6dodels', '%', 'a%20b'])
    expect(userOfTag(tag)).toBeUndefined();
});
