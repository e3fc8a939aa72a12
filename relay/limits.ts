import { FILE_TRANSFER_MS } from '@warmwind/shared/contract/files';
import { MAX_MESSAGE_BYTES } from '@warmwind/shared/contract/tickets';

/** Limits on the cost of one socket, user or room for a node. Times in ms, sizes in bytes. */
export const LIMITS = {
  /** Time for a complete request: a file that is written. */
  requestMs: FILE_TRANSFER_MS,
  /** One inbound message, and its number of WebSocket fragments. */
  inboundBytes: MAX_MESSAGE_BYTES,
  inboundFragments: 16,
  tokenBytes: 8192,
  /** Time from the WebSocket's opening to a verified ticket. */
  connectMs: 5000,
  /**
   * Open sockets, streams and waiting requests: of a user or a share link, and of a user with all its share
   * links.
   */
  connectionsPerUser: 1000,
  connectionsWithLinks: 4000,
  roomsPerSocket: 200,
  /** A subject is a user or a share link. */
  roomsPerSubject: 4000,
  /** Lookups of one subject: for subscriptions, screens and requests over HTTP. */
  lookups: { perSecond: 200, burst: 2000 },
  /** Concurrent reads of the ledger: by the node, for one user, and queued for one user. */
  ledgerReads: { atOnce: 8, perSubject: 2, waiting: 1000 },

  /** Inbound events of one socket; above the rate they are answered `rate_limited`. */
  eventsPerSecond: 100,
  eventsBurst: 200,
  /** Packets of any kind of one connection; above the rate the connection is closed. */
  packetsPerSecond: 500,
  packetsBurst: 4000,

  /** Events in one page of a log, and their bytes; the last event may exceed them. */
  pageEvents: 100,
  pageBytes: 256 * 1024,
  /** Concurrent reads of log pages: by the node, for one subject, and queued for one subject. */
  reads: { atOnce: 16, perSubject: 4, waiting: 4000 },
  /** Unsent bytes of a socket or stream above which no event is added; later events are read from the log. */
  socketBytes: 256 * 1024,
  /** Unsent bytes of events for all clients of one subject, and of the node. */
  subjectEventBytes: 16 * 1024 * 1024,
  nodeEventBytes: 96 * 1024 * 1024,
  /**
   * Unsent bytes of frames for all viewers of one subject, and of the node; a frame counts once for each
   * viewer.
   */
  subjectFrameBytes: 48 * 1024 * 1024,
  nodeFrameBytes: 192 * 1024 * 1024,
  /** Interval at which unsent bytes are measured. */
  measureMs: 250,
  /**
   * A connection that reads none of its unsent bytes for this long is closed, so that it reconnects and
   * resumes.
   */
  slowMs: 15_000,
  /** As `slowMs`, while its subject is at its limit of unsent bytes. */
  crowdedSlowMs: 3000,

  /** Open answers over HTTP on one node: streams and waiting requests. */
  openAnswers: 5000,
  answersPerSubject: 500,
  /** Interval of heartbeats in a stream; a stream whose client has read nothing for as long is closed. */
  heartbeatMs: 15_000,
  /** Interval at which a request that waits for a job's end polls the job's record. */
  endCheckMs: 1000,

  /** Desktops that one socket may watch. */
  screensPerSocket: 16,
  /** Interval at which the node checks that the hosts of its desktops are subscribed. */
  hostsMs: 1000,
  /** Between two requests for a keyframe of one desktop, and between repetitions until it arrives. */
  keyframeGapMs: 334,
  keyframeRepeatMs: 1000,
  /** Between two keyframes that one viewer requests. */
  refreshMs: 1000,
  /** Acknowledgements of one socket that acknowledge nothing new. */
  acksPerSecond: 300,
  acksBurst: 600,
  /**
   * Rate at which keys, buttons, texts and sizes of one viewer are sent to the host. A letter that changes
   * the desktop's keymap counts as `inputsPerLetter`, a text as one for each `inputBytes`. The pointer moves
   * at most every `moveMs`.
   */
  inputsPerSecond: 1000,
  inputsBurst: 200,
  inputsPerLetter: 10,
  inputBytes: 1024,
  moveMs: 16,
  /** Queued inputs of one viewer, and their bytes; inputs above the limit are dropped. */
  inputsWaiting: 3000,
  inputsWaitingBytes: 512 * 1024,
  /** Notices of dropped inputs: how long counts are gathered for the first notice, and between two. */
  droppedGatherMs: 100,
  droppedMs: 1000,
  /** Interval at which control is renewed and read: at most a third of its lease. */
  controlMs: 2000,
  /**
   * Interval at which the presence of viewers is renewed and silent desktops are looked up, and life of a
   * presence.
   */
  presenceMs: 5000,
  presenceTtlMs: 15_000,

  /**
   * Sessions of a socket, a user and the node, and the unsent bytes of a socket above which data frames are
   * dropped.
   */
  sessionsPerSocket: 16,
  sessionsPerUser: 64,
  sessionsOnNode: 500,
  sessionSocketBytes: 8 * 1024 * 1024,
  /**
   * Terminals that a socket is attached to, its messages of input, and the bytes of input of one terminal
   * that its program has not read.
   */
  terminalsPerSocket: 16,
  terminalInputs: { perSecond: 200, burst: 400 },
  terminalInputBytes: 128 * 1024,
  /** Time that a host has to open a session or to attach to it. */
  sessionOpenMs: 5000,
  /** One inbound message of a session's WebSocket. */
  streamMessageBytes: 256 * 1024,
  /** Interval of pings on a session's WebSocket; a client that has not answered the previous one is closed. */
  streamPingMs: 25_000,
  /** Time that a session has to deliver its last bytes to the container after its WebSocket has closed. */
  streamLingerMs: 5000,

  /** Concurrent calls: of the node, and of one subject. */
  calls: 1024,
  callsPerSubject: 32,
  /**
   * Concurrent reads of containers, screenshots included: by the node, for one user, and queued for one user.
   */
  containerReads: { atOnce: 16, perSubject: 4, waiting: 32 },
  /** Unread answers to calls, and the time that a client has to read one. */
  answerBytes: { perSubject: 32 * 1024 * 1024, total: 128 * 1024 * 1024 },
  answerReadMs: 30_000,
  /** Interval at which missed revocations are looked up, and users in one round trip. */
  revocationCheckMs: 1000,
  revocationBatch: 500,

  /** Time that a subscription waits for the realtime Redis. */
  subscribeMs: 3000,
  /** Interval at which the end of every room's log is compared with the room's cursor. */
  tailCheckMs: 2000,
  /** Rooms compared in one round trip, and concurrent catch-ups. */
  tailCheckBatch: 500,
  catchUpsAtOnce: 16,
  /** Jobs, and likewise desktops, for which a user's room sends snapshots. */
  snapshotSubjects: 50,

  /** Time between the closes of two connections, and bound on the time for all. */
  drainStepMs: 20,
  drainMs: 10_000,
} as const;
