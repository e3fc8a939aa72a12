/** What one socket, user or room may cost a node. Times in ms, sizes in bytes. */
export const LIMITS = {
  /** One inbound message, and the WebSocket fragments it may come in. */
  inboundBytes: 64 * 1024,
  inboundFragments: 16,
  tokenBytes: 8192,
  /** Time from the WebSocket's opening to a verified ticket. */
  connectMs: 5000,
  /** Sockets, streams and requests that wait, together. */
  connectionsPerUser: 1000,
  roomsPerSocket: 200,

  /** Events of one socket; above it they are answered `rate_limited`. */
  eventsPerSecond: 100,
  eventsBurst: 200,
  /** Packets of any kind of one connection; above it the connection is closed. */
  packetsPerSecond: 500,
  packetsBurst: 1000,

  /** Events read from a log at once. */
  replayPage: 100,
  /** Packets that may wait in a socket's buffer before its replay pauses. */
  replayBacklog: 256,
  /** Packets waiting in a live socket's buffer above which it counts as slow. */
  liveBacklog: 1024,
  /** Packets waiting above which it is closed at once. */
  liveBacklogMost: 16_384,
  /** A socket that stays slow this long is closed, so that it comes back and resumes. */
  slowMs: 15_000,

  /** Answers over HTTP that stay open on one node: streams, and requests that wait. */
  openAnswers: 5000,
  /** Between two signs of life in a stream; one whose client has taken nothing for as long is cut off. */
  heartbeatMs: 15_000,
  /** Bytes waiting for a stream's client above which it is cut off at once. */
  streamBytes: 16 * 1024 * 1024,
  /** How often who waits for a job's end looks at its record without being told to. */
  endCheckMs: 1000,

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
