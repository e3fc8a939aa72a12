import { escapeTag, type FleetTag, type TagKind, userOfTag, userTag } from './tags.ts';

/*
 * Every Redis key and channel of Warmwind. The part in braces is the Cluster hash tag: all that belongs to one user
 * lives in one slot, so that one script may decide limits, quotas and records, or append to a job's and its owner's log.
 * No user's tag is that of a queue, of a host or of the fleet, whatever the user is called: see `userTag`.
 */
const ofUser = (user: string, name: string): string => `ww:{${userTag(user)}}:${name}`;
const ofFleet = (tag: FleetTag, name: string): string => `ww:{${tag}}:${name}`;
const ofKind = (kind: TagKind, id: string, name: string): string => `ww:{${kind}:${escapeTag(id)}}:${name}`;

// ---- queue Redis: registry and limits --------------------------------------------------------------------------
export const keys = {
  /** BullMQ's `prefix` for a queue; BullMQ appends `:<queue>:…`. */
  bullmqPrefix: (queue: string) => `ww:{${queue}}`,

  /** Hash, one job's record. */
  job: (user: string, id: string) => ofUser(user, `job:${id}`),
  /** Sorted set: id by creation time in ms, all jobs of a user that are still known. */
  jobs: (user: string) => ofUser(user, 'jobs'),
  /** Sorted set: id by the time in ms until which it counts, the user's outstanding jobs. */
  openJobs: (user: string) => ofUser(user, 'open-jobs'),

  /** String, what a job works on (JSON), where that is too large for its record: an inference's request. */
  input: (user: string, id: string) => ofUser(user, `input:${id}`),

  /** Hash, one desktop's record. */
  container: (user: string, id: string) => ofUser(user, `container:${id}`),
  /** Sorted set: id by creation time in ms, all desktops of a user that are still known. */
  containers: (user: string) => ofUser(user, 'containers'),
  /** Sorted set: id by the time in ms until which it counts, the user's desktops that are not ended. */
  openContainers: (user: string) => ofUser(user, 'open-containers'),

  /** String, what an `Idempotency-Key` was first used for; `hash` is the SHA-256 of the caller's key. */
  idempotency: (user: string, hash: string) => ofUser(user, `idem:${hash}`),
  /** Stream, changes of the user's jobs and desktops that the ledger does not have yet: fields of `shared/engine/scripts/changes.lua.ts`. */
  changes: (user: string) => ofUser(user, 'changes'),
  /** Sorted set: user by how often a change of theirs was marked since the ledger had them all. */
  changedUsers: () => ofFleet('ledger', 'changed'),
  /** String, which worker process moves changes into the ledger and reconciles; expires when it stops. */
  ledgerLease: () => ofFleet('ledger', 'lease'),
  /** Sorted set: `<user>/<job>` by the time in ms at which its cancellation was asked for, until it has been followed up. */
  cancellations: () => ofFleet('cancellations', 'asked'),
  /** Sorted set: `<job or container>/<user>/<id>` by the time in ms at which its end was found to be missing in its room. */
  unpublishedEnds: () => ofFleet('unpublished', 'ends'),
  /** Sorted set: `<host> <model>` by the time in ms until which that host is known to serve the model. */
  models: () => ofFleet('models', 'served'),
  /** Sorted set: host by the time in ms until which one of its model servers is known to be loading. */
  modelsLoading: () => ofFleet('models', 'loading'),
  /** Sorted set: BullMQ's id of a delayed job by the time in ms it was queued at, until a worker that serves `model` promotes it. */
  waitingForModel: (model: string) => ofFleet('models', `waiting:${model}`),
  /** Sorted set: id of a relay ticket that was revoked by the time in ms at which it would have expired at the latest. */
  revoked: (user: string) => ofUser(user, 'revoked'),
  /** String: when all tickets of a user that there were then were revoked, ms. */
  revokedBefore: (user: string) => ofUser(user, 'revoked-before'),
  /** Hash: id of a share link to `<expiry in ms> <ShareLink as JSON>`, those that have not expired. */
  shareLinks: (user: string) => ofUser(user, 'share-links'),
  /** Sorted set: one admitted request of a user by its time in µs; `scope` is `user` or a route's name. */
  limit: (user: string, scope: string) => ofUser(user, `limit:${scope}`),
  /** The same of a client's address, for requests that are no user's. */
  addressLimit: (address: string, scope: string) => ofKind('address', address, `limit:${scope}`),

  /** String with the host's boot id; expires when the host stops renewing it. */
  hostLease: (host: string) => ofKind('host', host, 'lease'),
  /** Set of `<user>/<container>` ever placed on a host and not yet seen to have ended. */
  hostContainers: (host: string) => ofKind('host', host, 'containers'),
  /** Sorted set: host by the time in ms it last renewed its lease. */
  hosts: () => ofFleet('hosts', 'seen'),
  /** Hash: host to what it gives to containers, `HostResources` as JSON. */
  hostResources: () => ofFleet('hosts', 'resources'),
  /** Hash: instance to what it takes of a machine, `Reservation` as JSON. */
  reservations: (machine: string) => ofKind('host', machine, 'reservations'),
  /** Hash: host to the MB of memory that it gives to desktops. */
  hostMemory: () => ofFleet('hosts', 'memory'),

  /** String, which worker process reads the queues' event streams; expires when it stops. */
  observerLease: () => ofFleet('observer', 'lease'),
  /** Hash: queue name to the last event id that the observer has handled. */
  observerCursor: () => ofFleet('observer', 'cursor'),
};

/** What comes before the id in the names of a user's records: for scripts, which read ids from records. */
export const recordPrefixes = (user: string) => ({
  job: keys.job(user, ''),
  container: keys.container(user, ''),
});

/** What comes after the name of a log of requests in that of its marker, which exists while requests are denied. */
export const DENIED_SUFFIX = ':denied';

/** What comes before every name, as a pattern of SCAN. */
export const ANY_KEY_PATTERN = 'ww:{*';

/** Kinds of a user's keys that are looked for in all of Redis. */
type Scanned = 'job' | 'container' | 'idem';
/** A pattern, as SCAN takes it, of all users' keys of a kind. It may match others: see `readUserKey`. */
export const userKeyPattern = (kind: Scanned): string => `ww:{*}:${kind}:*`;

/** @returns the tag of a key and what follows it; `undefined` for a key that is not ours */
export function splitKey(key: string): { tag: string; name: string } | undefined {
  const [, tag, name] = /^ww:\{([^{}]+)\}:(.+)$/s.exec(key) ?? [];
  return tag === undefined || name === undefined ? undefined : { tag, name };
}

/** The key of a user that has this name behind its tag. */
export const userKey = (user: string, name: string): string => ofUser(user, name);

/** A user's key → its owner, its kind and what follows; `undefined` for a key that is no user's. */
export function readUserKey(key: string): { user: string; kind: string; id: string } | undefined {
  const [, tag, kind, id = ''] = /^ww:\{([^{}]+)\}:([a-z-]+)(?::(.+))?$/s.exec(key) ?? [];
  const user = tag === undefined ? undefined : userOfTag(tag);
  return user === undefined || kind === undefined ? undefined : { user, kind, id };
}

/** Pub/sub channel of the queue Redis: `Cancelled` (see `shared/engine/records.ts`) as JSON, the moment a run was cancelled. */
export const CANCELLED_CHANNEL = 'ww:cancelled';

/** Pub/sub channel of the queue Redis: `Revoked` (see `shared/contract/tickets.ts`) as JSON, the moment a ticket was revoked. */
export const REVOKED_CHANNEL = 'ww:revoked';

// ---- realtime Redis: rooms, and screens (`screenKeys`) -------------------------------------------------------------------------
/** A room is `job:<id>`, `container:<id>` or `user:<id>`; its log and channel live in its owner's slot. */
export const roomKeys = {
  /** Stream, the room's log: fields `n` (count since the log began), `e` (the event without id and room, JSON) and `b` (bytes of `e` since the log began, before this one). */
  log: (owner: string, room: string) => ofUser(owner, `log:${room}`),
  /** Hash, what the append script remembers of a job or container: fence, seq and the tokens of events that come once. */
  meta: (owner: string, room: string) => ofUser(owner, `meta:${room}`),
  /** Sharded pub/sub channel of the room: `<previous id>\n<id>\n<event JSON>`. */
  channel: (owner: string, room: string) => ofUser(owner, `live:${room}`),
};

/** Calls: requests to the host of a container. */
export const callKeys = {
  /** Sharded channel, to the host of a container: `ToCallHost` as JSON. */
  inbox: (containerId: string) => ofKind('container', containerId, 'calls'),
  /** Hash, what became of a call with this `Idempotency-Key`: fields of `shared/engine/scripts/claim.lua.ts`. Expires by itself. */
  claim: (containerId: string, hash: string) => ofKind('container', containerId, `claim:${hash}`),
  /** String, exists while a process of a host lives that claims calls. */
  holder: (holder: string) => ofKind('process', holder, 'alive'),
  /** Sharded channel, to the process that sent a call: a `CallReply`. */
  replies: (caller: string) => ofKind('process', caller, 'replies'),
  /** String, an answer that is too large for the channel. Expires by itself. */
  answer: (caller: string, callId: string) => ofKind('process', caller, `answer:${callId}`),
};

/** A key or channel of one desktop's screen: see `screenKeys`. */
export const screenKey = (containerId: string, name: string): string => ofKind('screen', containerId, name);

/** Sharded channels of sessions, on a connection of their own beside the other traffic. */
export const sessionKeys = {
  /** Relays → the host of a container: see `shared/runtime/session/messages.ts`. */
  up: (containerId: string) => ofKind('session', containerId, 'up'),
  /** Host → the relay node that holds an attachment. */
  down: (attachmentId: string) => ofKind('session', attachmentId, 'down'),
};
