import { MAX_MESSAGE_BYTES } from '@warmwind/shared/contract/tickets';

/** What one socket, user or room may cost a node. Times in ms, sizes in bytes. */
export const LIMITS = {
  /** One inbound message, and the WebSocket fragments it may come in. */
  inboundBytes: MAX_MESSAGE_BYTES,
  inboundFragments: 16,
  tokenBytes: 8192,
  /** Time from the WebSocket's opening to a verified ticket. */
  connectMs: 5000,
  /** Sockets, streams and requests that wait, together: of a user or a share link, and of a user with all its share links. */
  connectionsPerUser: 1000,
  connectionsWithLinks: 4000,
  roomsPerSocket: 200,
  /** Of one subject: a user, or a share link. */
  roomsPerSubject: 4000,
  /** Subscriptions, screens to watch and requests over HTTP that are looked up for one subject. */
  lookups: { perSecond: 200, burst: 2000 },
  /** Questions to the ledger at once: of the node, of one user, and waiting of one user. */
  ledgerReads: { atOnce: 8, perSubject: 2, waiting: 1000 },

  /** Events of one socket; above it they are answered `rate_limited`. */
  eventsPerSecond: 100,
  eventsBurst: 200,
  /** Packets of any kind of one connection; above it the connection is closed. */
  packetsPerSecond: 500,
  packetsBurst: 4000,

  /** Events read from a log at once, and their bytes; the last one may exceed them. */
  pageEvents: 100,
  pageBytes: 256 * 1024,
  /** Pieces of logs that are read at once: by the node, for one subject, and waiting of one subject. */
  reads: { atOnce: 16, perSubject: 4, waiting: 4000 },
  /** Bytes that wait for a socket or stream from which on no event is added: what follows is read from the log later. */
  socketBytes: 256 * 1024,
  /** Events that wait for all clients of one subject, and of the node. */
  subjectEventBytes: 16 * 1024 * 1024,
  nodeEventBytes: 96 * 1024 * 1024,
  /** Frames that wait for all viewers of one subject, and of the node, each counted as often as it waits. */
  subjectFrameBytes: 48 * 1024 * 1024,
  nodeFrameBytes: 192 * 1024 * 1024,
  /** How often it is measured what waits. */
  measureMs: 250,
  /** A connection that takes nothing of what waits for so long is closed, so that it comes back and resumes. */
  slowMs: 15_000,
  /** As `slowMs`, while its subject has as much waiting as it may. */
  crowdedSlowMs: 3000,

  /** Answers over HTTP that stay open on one node: streams, and requests that wait. */
  openAnswers: 5000,
  answersPerSubject: 500,
  /** Between two signs of life in a stream; one whose client has taken nothing for as long is cut off. */
  heartbeatMs: 15_000,
  /** How often who waits for a job's end looks at its record without being told to. */
  endCheckMs: 1000,

  /** Desktops that one socket may watch. */
  screensPerSocket: 16,
  /** How often it is looked whether desktops' hosts hear what they are told. */
  hostsMs: 1000,
  /** Between two requests for a key of one desktop, and between repetitions while it does not come. */
  keyGapMs: 334,
  keyRepeatMs: 1000,
  /** Between two keys that one viewer asks for itself. */
  refreshMs: 1000,
  /** Acknowledgements of one socket that acknowledge nothing new. */
  acksPerSecond: 300,
  acksBurst: 600,
  /**
   * Keys, buttons, texts and sizes of one viewer go on to the host at this rate; a letter that changes the desktop's keymap
   * counts as several, as does a long text: one for each so many bytes. Moves of the pointer go out at most every `moveMs`.
   */
  inputsPerSecond: 1000,
  inputsBurst: 200,
  inputsPerLetter: 10,
  inputBytes: 1024,
  moveMs: 16,
  /** Inputs of one viewer that wait for that or for control, and their bytes; what comes above is dropped. */
  inputsWaiting: 3000,
  inputsWaitingBytes: 512 * 1024,
  /** Notices of dropped inputs: how long counts are gathered for the first, and between two. */
  droppedGatherMs: 100,
  droppedMs: 1000,
  /** How often control is renewed and looked at, a third of its life at most. */
  controlMs: 2000,
  /** How often viewers are vouched for, and for how long; desktops that nobody hears of are looked up as often. */
  presenceMs: 5000,
  vouchMs: 15_000,

  /** Sessions that a socket, a user and the node carry, and what a socket may have waiting before bytes of them are left out. */
  sessionsPerSocket: 16,
  sessionsPerUser: 64,
  sessionsOnNode: 500,
  sessionSocketBytes: 8 * 1024 * 1024,
  /** How long a host may take to open a session or to attach to it. */
  sessionOpenMs: 5000,

  /** Calls that are relayed at once: by the node, and for one subject. */
  calls: 1024,
  callsPerSubject: 32,
  /** Reads of containers, screenshots among them, at once: by the node, for one user, and waiting for one user's turn. */
  containerReads: { atOnce: 16, perSubject: 4, waiting: 32 },
  /** Answers to calls that wait to be read by their clients, and how long they may. */
  answerBytes: { perSubject: 32 * 1024 * 1024, total: 128 * 1024 * 1024 },
  answerReadMs: 30_000,
  /** How often revocations are looked up that may have been missed, and for how many users in one trip. */
  revocationCheckMs: 1000,
  revocationBatch: 500,

  /** How long a subscription waits for the realtime Redis. */
  subscribeMs: 3000,
  /** How often every room's log is compared with what was delivered. */
  tailCheckMs: 2000,
  /** Rooms asked about in one trip, and caught up at once. */
  tailCheckBatch: 500,
  catchUpsAtOnce: 16,
  /** Jobs and desktops that one snapshot of a user's room holds, each. */
  snapshotSubjects: 50,

  /** Time between the goodbyes of two sockets, and of the first and the last at most. */
  drainStepMs: 20,
  drainMs: 10_000,
} as const;
