import { screenKeys } from '@warmwind/shared/contract/screen';
import {
  CANCELLED_CHANNEL,
  callKeys,
  keys,
  REVOKED_CHANNEL,
  ROOM_CHANNEL,
  roomKeys,
} from '@warmwind/shared/engine/keys';
import { code, page, table } from './markdown.ts';

/** The description of a key or channel; its name comes from the function that makes it. */
type Entry = {
  type:
    | 'hash'
    | 'list'
    | 'set'
    | 'sorted set'
    | 'stream'
    | 'string'
    | 'channel'
    | 'sharded channel'
    | 'prefix';
  holds: string;
  /** The services that write it. */
  writtenBy: string;
  expires: string;
};

const OPEN = '7 days after the last change while open, 24 h after the end';
const RENEWED = 'when its holder stops renewing it';
const NEVER = 'never';

const QUEUE: Record<keyof typeof keys, Entry> = {
  webhookDelivery: {
    type: 'hash',
    holds: 'a webhook of a user and how its delivery goes',
    writtenBy: 'workers, edge',
    expires: '48 h after its last try while pending, 24 h after its end',
  },
  webhookDeliveries: {
    type: 'sorted set',
    holds: 'ids of webhooks by the time in ms at which they were queued',
    writtenBy: 'workers, edge',
    expires: '7 days after the last one; the newest 10,000',
  },
  userLimits: {
    type: 'hash',
    holds: 'limits of a user that differ from those of the deployment',
    writtenBy: 'edge, workers (reconciler)',
    expires: 'never; removed ones after 24 h',
  },
  bullmqPrefix: {
    type: 'prefix',
    holds: 'BullMQ’s own keys of a queue, as `<prefix>:<queue>:…`',
    writtenBy: 'edge, workers (BullMQ)',
    expires: 'by BullMQ’s counts and ages',
  },
  job: { type: 'hash', holds: 'the record of a job', writtenBy: 'edge, workers', expires: OPEN },
  jobs: {
    type: 'sorted set',
    holds: 'job ids by creation time in ms',
    writtenBy: 'edge, workers',
    expires: '7 days after the last submission',
  },
  openJobs: {
    type: 'sorted set',
    holds: 'outstanding job ids by the time in ms until which they count',
    writtenBy: 'edge, workers',
    expires: 'never; members count for 1 h without a renewal',
  },
  input: {
    type: 'string',
    holds: 'the input of a job (JSON) where its worker needs it',
    writtenBy: 'edge',
    expires: 'deleted when the job completes, else as its record',
  },
  container: { type: 'hash', holds: 'the record of a container', writtenBy: 'edge, workers', expires: OPEN },
  containers: {
    type: 'sorted set',
    holds: 'container ids by creation time in ms',
    writtenBy: 'edge, workers',
    expires: '7 days after the last start',
  },
  openContainers: {
    type: 'sorted set',
    holds: 'ids of containers that are not ended, by the time in ms until which they count',
    writtenBy: 'edge, workers',
    expires: 'never; members count for 1 h without a renewal',
  },
  idempotency: {
    type: 'string',
    holds: 'the first use of an `Idempotency-Key` (as SHA-256)',
    writtenBy: 'edge',
    expires: '24 h; 10 min until the submission is confirmed',
  },
  changes: {
    type: 'stream',
    holds: 'changes of records that the ledger does not have yet, 10,000 at most',
    writtenBy: 'edge, workers',
    expires: 'moved by the leader',
  },
  changedUsers: {
    type: 'sorted set',
    holds: 'users with such changes, by how often one was marked',
    writtenBy: 'edge, workers',
    expires: 'moved by the leader',
  },
  ledgerLease: {
    type: 'string',
    holds: 'the process that drains and reconciles',
    writtenBy: 'workers',
    expires: RENEWED,
  },
  cancellations: {
    type: 'sorted set',
    holds: '`<user>/<job>` by the time in ms of the request',
    writtenBy: 'edge',
    expires: 'removed once followed up',
  },
  unpublishedEnds: {
    type: 'sorted set',
    holds: '`<job or container>/<user>/<id>` whose end is missing in its room',
    writtenBy: 'workers',
    expires: 'removed once published, or after 24 h',
  },
  models: {
    type: 'sorted set',
    holds: '`<host> <model>` by the time in ms until which it is served',
    writtenBy: 'workers',
    expires: 'members expire after 15 s',
  },
  modelsLoading: {
    type: 'sorted set',
    holds: 'hosts whose model server is loading',
    writtenBy: 'workers',
    expires: 'members expire after 15 s',
  },
  waitingForModel: {
    type: 'sorted set',
    holds: 'delayed jobs of a model by the time in ms at which they were queued',
    writtenBy: 'workers',
    expires: '60 s after the last job',
  },
  revoked: {
    type: 'sorted set',
    holds: 'ids of revoked relay tickets by the time in ms at which they would have expired',
    writtenBy: 'edge',
    expires: '24 h after the last revocation',
  },
  revokedBefore: {
    type: 'string',
    holds: 'time in ms up to which all tickets are revoked',
    writtenBy: 'edge',
    expires: '24 h',
  },
  shareLinks: {
    type: 'hash',
    holds: 'share links by id',
    writtenBy: 'edge',
    expires: 'with the last of the links',
  },
  limit: {
    type: 'sorted set',
    holds: 'admitted requests of a user by time in µs; `…:denied` marks a refusal',
    writtenBy: 'edge',
    expires: 'after the longest window of its scope',
  },
  addressLimit: {
    type: 'sorted set',
    holds: 'the same for a client address',
    writtenBy: 'edge',
    expires: 'after the longest window of its scope',
  },
  hostLease: { type: 'string', holds: 'boot id of the host', writtenBy: 'workers', expires: RENEWED },
  hostContainers: {
    type: 'set',
    holds: '`<user>/<container>` scheduled on the host and not seen to have ended',
    writtenBy: 'workers',
    expires: NEVER,
  },
  hosts: {
    type: 'sorted set',
    holds: 'hosts by the time in ms of the last renewal',
    writtenBy: 'workers',
    expires: 'members are removed once the host is lost',
  },
  processBeats: {
    type: 'sorted set',
    holds: 'boot id of a worker process, by the Redis time in ms from which it counts as dead',
    writtenBy: 'workers',
    expires: 'entries are removed when the process stops or has been recovered',
  },
  processRecords: {
    type: 'hash',
    holds: 'boot id of a worker process → its host and queues, JSON',
    writtenBy: 'workers',
    expires: 'fields are removed when the process stops or has been recovered',
  },
  deadProcesses: {
    type: 'sorted set',
    holds: 'boot id of a worker process, by the Redis time in ms at which a peer declared it dead',
    writtenBy: 'workers',
    expires: 'entries are removed after an hour, or when the process beats again',
  },
  processRecovery: {
    type: 'string',
    holds: 'exists while a peer recovers a dead process',
    writtenBy: 'workers',
    expires: 'after 3 s',
  },
  hostResources: {
    type: 'hash',
    holds: 'host → its resources for containers and its machine, JSON',
    writtenBy: 'workers',
    expires: 'fields are removed once the host is lost',
  },
  reservations: {
    type: 'hash',
    holds: 'of one machine: instance → its resources, container and host, JSON',
    writtenBy: 'workers',
    expires: 'fields are removed with their container, all with OPEN_RECORD_TTL_MS',
  },
  hostMemory: {
    type: 'hash',
    holds: 'MB that each host has for desktops',
    writtenBy: 'workers',
    expires: 'fields are removed once the host is lost',
  },
  drainingHosts: {
    type: 'hash',
    holds: 'host → since when it takes no new containers, JSON',
    writtenBy: 'edge, workers',
    expires: 'never; removed when the operator ends the drain',
  },
  waitingStarts: {
    type: 'sorted set',
    holds: 'starts that wait for room, by the time in ms at which their turn began',
    writtenBy: 'workers',
    expires: 'members are removed when the start is placed or ends',
  },
  waitingStartDetails: {
    type: 'hash',
    holds: 'start that waits for room → what it needs and lacks, JSON',
    writtenBy: 'workers',
    expires: 'fields are removed with the member above',
  },
  observerLease: {
    type: 'string',
    holds: 'the process that reads the event streams of the queues',
    writtenBy: 'workers',
    expires: RENEWED,
  },
  observerCursor: {
    type: 'hash',
    holds: 'last event id that the observer handled, by queue',
    writtenBy: 'workers',
    expires: NEVER,
  },
};

const ROOMS: Record<keyof typeof roomKeys, Entry> = {
  log: {
    type: 'stream',
    holds: 'the log of a room: 5,000 events or 4 MB at least, whichever is less',
    writtenBy: 'workers',
    expires: '24 h after the last event',
  },
  meta: {
    type: 'hash',
    holds: 'fence, sequence and the tokens of events that are appended once',
    writtenBy: 'workers',
    expires: '24 h after the last event',
  },
  channel: {
    type: 'sharded channel',
    holds: '`<previous id>\\n<id>\\n<event>`',
    writtenBy: 'workers',
    expires: '',
  },
};

const SCREENS: Record<keyof typeof screenKeys, Entry> = {
  down: { type: 'sharded channel', holds: 'frames, binary', writtenBy: 'workers', expires: '' },
  up: { type: 'sharded channel', holds: 'input and requests for the host', writtenBy: 'relays', expires: '' },
  control: {
    type: 'string',
    holds: 'the viewer or agent that holds control',
    writtenBy: 'relays, workers',
    expires: '10 s, renewed',
  },
  leases: {
    type: 'string',
    holds: 'the last lease of control',
    writtenBy: 'relays, workers',
    expires: '7 days',
  },
  held: {
    type: 'string',
    holds: 'the position at which a pointer button was pressed',
    writtenBy: 'workers',
    expires: '24 h, or its release',
  },
  pointer: {
    type: 'string',
    holds: 'the place to which the pointer was moved last',
    writtenBy: 'workers',
    expires: '24 h',
  },
  viewers: {
    type: 'hash',
    holds: 'viewers, by node and id',
    writtenBy: 'relays',
    expires: '30 s, renewed; fields count for 15 s',
  },
};

const CALLS: Record<keyof typeof callKeys, Entry> = {
  inbox: {
    type: 'sharded channel',
    holds: 'calls for the host of a container',
    writtenBy: 'relays, workers',
    expires: '',
  },
  claim: {
    type: 'hash',
    holds: 'the outcome of a call with an `Idempotency-Key`',
    writtenBy: 'workers',
    expires: '5 min',
  },
  holder: {
    type: 'string',
    holds: 'the heartbeat of a process that claims calls',
    writtenBy: 'workers',
    expires: '5 s, renewed',
  },
  replies: {
    type: 'sharded channel',
    holds: 'replies to the calls of a process, up to 64 KB each',
    writtenBy: 'workers',
    expires: '',
  },
  answer: {
    type: 'string',
    holds: 'the answer to a call above that size',
    writtenBy: 'workers',
    expires: '15 s, or when it is fetched',
  },
};

/** Placeholders for the arguments of functions in a pattern. */
const PLACEHOLDERS: Record<string, string[]> = {
  bullmqPrefix: ['QUEUE'],
  idempotency: ['USER', 'HASH'],
  waitingForModel: ['MODEL'],
  limit: ['USER', 'SCOPE'],
  addressLimit: ['ADDRESS', 'SCOPE'],
  hostLease: ['HOST'],
  hostContainers: ['HOST'],
  processRecovery: ['BOOT'],
  log: ['USER', 'ROOM'],
  meta: ['USER', 'ROOM'],
  channel: ['USER', 'ROOM'],
  claim: ['CONTAINER', 'HASH'],
  holder: ['PROCESS'],
  replies: ['PROCESS'],
  answer: ['PROCESS', 'CALL'],
};

/** Makes the pattern of a key by the key's own function. */
function pattern(name: string, make: (...args: string[]) => string, usual: string[]): string {
  const args = PLACEHOLDERS[name] ?? usual;
  return args.reduce((text, arg) => text.replace(arg, `<${arg.toLowerCase()}>`), make(...args));
}

function rows<Name extends string>(
  functions: Record<Name, unknown>,
  entries: Record<Name, Entry>,
  usual: string[],
): string[][] {
  return (Object.keys(entries) as Name[]).map((name) => {
    const { type, holds, writtenBy, expires } = entries[name];
    const make = functions[name] as (...args: string[]) => string;
    return [code(pattern(name, make, usual)), type, holds, writtenBy, expires];
  });
}

const COLUMNS = ['pattern', 'type', 'holds', 'written by', 'expires'];

/** `docs/reference/redis-keys.md`: every key and channel, named by the functions that make them. */
export const redisKeys = (): string =>
  page(
    'Redis keys',
    ['shared/engine/keys.ts', 'shared/contract/screen.ts', 'infra/quality/docs/redis-keys.ts'],
    [
      'The part in braces is the Cluster hash tag. All keys of one user are in one slot, so that a script can use them together. User ids are escaped, so that none equals the tag of a queue, a host or the fleet (`shared/engine/tags.ts`).',
      '## Queue Redis',
      'Eviction must be off. Lost keys are restored from the ledger: `docs/operations/runbooks/queue-redis.md`.',
      table(COLUMNS, rows(keys, QUEUE, ['USER', 'ID'])),
      `Channels: ${code(CANCELLED_CHANNEL)} publishes a cancelled run, ${code(REVOKED_CHANNEL)} a revoked ticket, ${code(ROOM_CHANNEL)} a machine with more room or '' for a change of the starts that wait.`,
      '## Realtime Redis',
      'All of it may be lost: clients receive a snapshot and continue.',
      table(COLUMNS, [
        ...rows(roomKeys, ROOMS, ['USER', 'ROOM']),
        ...rows(screenKeys, SCREENS, ['CONTAINER']),
        ...rows(callKeys, CALLS, ['CONTAINER']),
      ]),
    ],
  );
