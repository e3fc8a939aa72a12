import { escapeTag, type FleetTag, type TagKind, userOfTag, userTag } from './tags.ts';

/*
 * Every Redis key and channel of Warmwind. The part in braces is the Cluster hash tag: all keys of one user
 * live in one slot, so that one script may decide limits, quotas and records, or append to the logs of a job
 * and its owner. No user's tag is that of a queue, of a host or of the fleet, whatever the user's
 * name is: see `userTag`.
 */
const ofUser = (user: string, name: string): string => `ww:{${userTag(user)}}:${name}`;
const ofFleet = (tag: FleetTag, name: string): string => `ww:{${tag}}:${name}`;
const ofKind = (kind: TagKind, id: string, name: string): string => `ww:{${kind}:${escapeTag(id)}}:${name}`;

// ---- queue Redis: registry and limits ---------------------------------------------------------------------
export const keys = {
  /** BullMQ's `prefix` for a queue; BullMQ appends `:<queue>:…`. */
  bullmqPrefix: (queue: string) => `ww:{${queue}}`,

  /** Hash, one job's record. */
  job: (user: string, id: string) => ofUser(user, `job:${id}`),
  /** Sorted set: id by creation time in ms, all jobs of a user that are still known. */
  jobs: (user: string) => ofUser(user, 'jobs'),
  /** Sorted set: id by the time in ms until which it counts, the user's outstanding jobs. */
  openJobs: (user: string) => ofUser(user, 'open-jobs'),

  /** String: the input of a job (JSON), where it is too large for the record: an inference's request. */
  input: (user: string, id: string) => ofUser(user, `input:${id}`),

  /** Hash, one desktop's record. */
  container: (user: string, id: string) => ofUser(user, `container:${id}`),
  /** Sorted set: id by creation time in ms, all desktops of a user that are still known. */
  containers: (user: string) => ofUser(user, 'containers'),
  /** Sorted set: id by the time in ms until which it counts, the user's desktops that are not ended. */
  openContainers: (user: string) => ofUser(user, 'open-containers'),

  /**
   * String: the job that an `Idempotency-Key` was first used for; `hash` is the SHA-256 of the caller's key.
   */
  idempotency: (user: string, hash: string) => ofUser(user, `idem:${hash}`),
  /**
   * Stream, changes of the user's jobs and desktops that the ledger does not have yet: fields of
   * `shared/engine/scripts/changes.lua.ts`.
   */
  changes: (user: string) => ofUser(user, 'changes'),
  /** Sorted set: user by the number of their changes that were marked since the ledger last had them all. */
  changedUsers: () => ofFleet('ledger', 'changed'),
  /** String: the worker process that moves changes into the ledger and reconciles; expires when it stops. */
  ledgerLease: () => ofFleet('ledger', 'lease'),
  /**
   * Sorted set: `<user>/<job>` by the time in ms at which its cancellation was requested, until it has been
   * followed up.
   */
  cancellations: () => ofFleet('cancellations', 'asked'),
  /**
   * Sorted set: `<job or container>/<user>/<id>` by the time in ms at which its end was found to be missing
   * in its room.
   */
  unpublishedEnds: () => ofFleet('unpublished', 'ends'),
  /** Sorted set: `<host> <model>` by the time in ms until which that host is known to serve the model. */
  models: () => ofFleet('models', 'served'),
  /** Sorted set: host by the time in ms until which one of its model servers is known to be loading. */
  modelsLoading: () => ofFleet('models', 'loading'),
  /**
   * Sorted set: BullMQ's id of a delayed job by the time in ms it was queued at, until a worker that serves
   * `model` promotes it.
   */
  waitingForModel: (model: string) => ofFleet('models', `waiting:${model}`),
  /**
   * Sorted set: id of a relay ticket that was revoked by the time in ms at which it would have expired at the
   * latest.
   */
  revoked: (user: string) => ofUser(user, 'revoked'),
  /** String: the time at which all tickets that a user had then were revoked, ms. */
  revokedBefore: (user: string) => ofUser(user, 'revoked-before'),
  /** Hash: id of a share link to `<expiry in ms> <ShareLink as JSON>`, those that have not expired. */
  shareLinks: (user: string) => ofUser(user, 'share-links'),
  /**
   * Hash: the limits of a user that differ from those of the deployment: `limits` (`UserLimits` as JSON), `effective`
   * (`OwnLimits` as JSON), `at` (ms, when they were set) and `by` (the administrator).
   */
  userLimits: (user: string) => ofUser(user, 'user-limits'),
  /** Hash, one webhook of the user and how its delivery goes: see `shared/engine/scripts/webhook.lua.ts`. */
  webhookDelivery: (user: string, id: string) => ofUser(user, `webhook:${id}`),
  /** Sorted set: id by the time in ms at which it was queued, the user's webhooks that are still known. */
  webhookDeliveries: (user: string) => ofUser(user, 'webhooks'),
  /** Sorted set: one admitted request of a user by its time in µs; `scope` is `user` or a route's name. */
  limit: (user: string, scope: string) => ofUser(user, `limit:${scope}`),
  /** The same for a client's address, for requests without a user. */
  addressLimit: (address: string, scope: string) => ofKind('address', address, `limit:${scope}`),

  /** String with the host's boot id; expires when the host stops renewing it. */
  hostLease: (host: string) => ofKind('host', host, 'lease'),
  /** Set of `<user>/<container>` ever placed on a host and not yet seen to have ended. */
  hostContainers: (host: string) => ofKind('host', host, 'containers'),
  /** Sorted set: host by the time in ms it last renewed its lease. */
  hosts: () => ofFleet('hosts', 'seen'),
  /** Hash: host to its resources for containers, `HostResources` as JSON. */
  hostResources: () => ofFleet('hosts', 'resources'),
  /** Hash: instance to the resources that it takes of a machine, `Reservation` as JSON. */
  reservations: (machine: string) => ofKind('host', machine, 'reservations'),
  /** Hash: host to the MB of memory that it gives to desktops. */
  hostMemory: () => ofFleet('hosts', 'memory'),
  /**
   * Hash: host to `Draining` as JSON. A host with a field takes no new containers; it is the operator's, and
   * stays when the host is lost.
   */
  drainingHosts: () => ofFleet('hosts', 'draining'),
  /** Sorted set: BullMQ's id of a start that waits for room by the time in ms at which its turn began. */
  waitingStarts: () => ofFleet('hosts', 'waiting-starts'),
  /** Hash: the same id to `WaitingStart` as JSON (see `shared/engine/node/waiting-starts.ts`). */
  waitingStartDetails: () => ofFleet('hosts', 'waiting-start-details'),

  /** Sorted set: boot id of a worker process by the Redis time in ms from which it counts as dead. */
  processBeats: () => ofFleet('hosts', 'beats'),
  /** Hash: boot id of a worker process to its `ProcessRecord` as JSON. */
  processRecords: () => ofFleet('hosts', 'processes'),
  /** Sorted set: boot id of a worker process by the Redis time in ms at which a peer declared it dead. */
  deadProcesses: () => ofFleet('hosts', 'dead'),
  /** String that exists while a peer recovers the jobs and leases of a dead process. Has a TTL. */
  processRecovery: (boot: string) => ofFleet('hosts', `recovery:${boot}`),

  /** String: the worker process that reads the queues' event streams; expires when it stops. */
  observerLease: () => ofFleet('observer', 'lease'),
  /** Hash: queue name to the last event id that the observer has handled. */
  observerCursor: () => ofFleet('observer', 'cursor'),
};

/** The part of the names of a user's records before the id: for scripts, which read ids from records. */
export const recordPrefixes = (user: string) => ({
  job: keys.job(user, ''),
  container: keys.container(user, ''),
});

/** The suffix of a request log's marker, which exists while requests are denied. */
export const DENIED_SUFFIX = ':denied';

/** The pattern of SCAN that matches every name. */
export const ANY_KEY_PATTERN = 'ww:{*';

/** Kinds of users' keys that are scanned for. */
type Scanned = 'job' | 'container' | 'idem';
/** A pattern, as SCAN takes it, of all users' keys of a kind. It may match others: see `readUserKey`. */
export const userKeyPattern = (kind: Scanned): string => `ww:{*}:${kind}:*`;

/** @returns the tag of a key and the name after it; `undefined` for a key that is not Warmwind's */
export function splitKey(key: string): { tag: string; name: string } | undefined {
  const [, tag, name] = /^ww:\{([^{}]+)\}:(.+)$/s.exec(key) ?? [];
  return tag === undefined || name === undefined ? undefined : { tag, name };
}

/** The key of a user that has this name after its tag. */
export const userKey = (user: string, name: string): string => ofUser(user, name);

/**
 * Parses a user's key.
 * @returns its owner, its kind and its id ('' for none); `undefined` for a key that is no user's
 */
export function readUserKey(key: string): { user: string; kind: string; id: string } | undefined {
  const [, tag, kind, id = ''] = /^ww:\{([^{}]+)\}:([a-z-]+)(?::(.+))?$/s.exec(key) ?? [];
  const user = tag === undefined ? undefined : userOfTag(tag);
  return user === undefined || kind === undefined ? undefined : { user, kind, id };
}

/**
 * Pub/sub channel of the queue Redis: `Cancelled` (see `shared/engine/records.ts`) as JSON, published when a
 * run is cancelled.
 */
export const CANCELLED_CHANNEL = 'ww:cancelled';

/**
 * Pub/sub channel of the queue Redis: the name of a machine that has more room than before, or '' when a
 * start began or ceased to wait for room.
 */
export const ROOM_CHANNEL = 'ww:room';

/**
 * Pub/sub channel of the queue Redis: `Revoked` (see `shared/contract/tickets.ts`) as JSON, published when a
 * ticket is revoked.
 */
export const REVOKED_CHANNEL = 'ww:revoked';

// ---- realtime Redis: rooms, and screens (`screenKeys`) ----------------------------------------------------
/** A room is `job:<id>`, `container:<id>` or `user:<id>`; its log and channel live in its owner's slot. */
export const roomKeys = {
  /**
   * Stream, the room's log: fields `n` (count since the log began), `e` (the event without id and room, JSON)
   * and `b` (bytes of `e` since the log began, before this one).
   */
  log: (owner: string, room: string) => ofUser(owner, `log:${room}`),
  /**
   * Hash: the state of the append script for a job or container: fence, seq, and the tokens of events that
   * are appended once.
   */
  meta: (owner: string, room: string) => ofUser(owner, `meta:${room}`),
  /** Sharded pub/sub channel of the room: `<previous id>\n<id>\n<event JSON>`. */
  channel: (owner: string, room: string) => ofUser(owner, `live:${room}`),
};

/** Calls: requests to the host of a container. */
export const callKeys = {
  /** Sharded channel, to the host of a container: `ToCallHost` as JSON. */
  inbox: (containerId: string) => ofKind('container', containerId, 'calls'),
  /**
   * Hash: the outcome of a call with this `Idempotency-Key`: fields of `shared/engine/scripts/claim.lua.ts`.
   * Has a TTL.
   */
  claim: (containerId: string, hash: string) => ofKind('container', containerId, `claim:${hash}`),
  /** String that exists while a process of a host that claims calls is alive. */
  holder: (holder: string) => ofKind('process', holder, 'alive'),
  /** Sharded channel, to the process that sent a call: a `CallReply`. */
  replies: (caller: string) => ofKind('process', caller, 'replies'),
  /** String: an answer that is too large for the channel. Has a TTL. */
  answer: (caller: string, callId: string) => ofKind('process', caller, `answer:${callId}`),
};

/** A key or channel of one desktop's screen: see `screenKeys`. */
export const screenKey = (containerId: string, name: string): string => ofKind('screen', containerId, name);

/** Sharded channels of sessions, on a connection of their own. */
export const sessionKeys = {
  /** From relays to the host of a container: see `shared/runtime/session/messages.ts`. */
  up: (containerId: string) => ofKind('session', containerId, 'up'),
  /** From the host to the relay node that holds an attachment. */
  down: (attachmentId: string) => ofKind('session', attachmentId, 'down'),
};
