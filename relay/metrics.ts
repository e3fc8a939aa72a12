import { Counter, Gauge, Registry } from 'prom-client';

/** Why a room was read from its log instead of its channel. */
export type CatchUpCause = 'gap' | 'reconnect' | 'tail' | 'join' | 'message';

const FOLLOWED = {
  calls: 'Calls that this node waits for.',
  rooms: 'Rooms that this node follows.',
  viewers: 'Viewers of screens on this node.',
  sessions: 'Sessions that this node carries.',
};

/** The metrics of a relay node. */
export class Metrics {
  readonly registry = new Registry();
  readonly #shared = { registers: [this.registry] };

  readonly sockets = new Gauge({
    name: 'warmwind_relay_sockets',
    help: 'Connected sockets.',
    ...this.#shared,
  });
  readonly streams = new Gauge({
    name: 'warmwind_relay_open_answers',
    help: 'Answers over HTTP that stay open: streams, and requests that wait for a job to end.',
    ...this.#shared,
  });
  readonly refused = new Counter({
    name: 'warmwind_relay_connections_refused_total',
    help: 'Connections refused, by reason.',
    labelNames: ['reason'],
    ...this.#shared,
  });
  readonly delivered = new Counter({
    name: 'warmwind_relay_events_delivered_total',
    help: 'Recorded events sent to sockets and streams, live or replayed.',
    labelNames: ['way'],
    ...this.#shared,
  });
  readonly catchUps = new Counter({
    name: 'warmwind_relay_catch_ups_total',
    help: 'Rooms read from their log because the channel may have missed an event.',
    labelNames: ['cause'],
    ...this.#shared,
  });
  readonly replayPages = new Counter({
    name: 'warmwind_relay_replay_pages_total',
    help: 'Pages of a log read for sockets that joined.',
    ...this.#shared,
  });
  readonly snapshots = new Counter({
    name: 'warmwind_relay_snapshots_total',
    help: 'Snapshots sent because a log was trimmed or lost.',
    ...this.#shared,
  });
  readonly denied = new Counter({
    name: 'warmwind_relay_subscriptions_denied_total',
    help: 'Subscriptions refused, by error code.',
    labelNames: ['code'],
    ...this.#shared,
  });
  readonly dropped = new Counter({
    name: 'warmwind_relay_inbound_dropped_total',
    help: 'Inbound events not handled: rate_limited, unknown or flood (the connection was closed).',
    labelNames: ['reason'],
    ...this.#shared,
  });
  readonly slow = new Counter({
    name: 'warmwind_relay_slow_sockets_closed_total',
    help: 'Sockets and streams closed because they did not read fast enough.',
    ...this.#shared,
  });
  readonly fellBehind = new Counter({
    name: 'warmwind_relay_fell_behind_total',
    help: 'Times that a live socket or stream did not keep up and continued from the log.',
    ...this.#shared,
  });
  readonly framesSent = new Counter({
    name: 'warmwind_relay_frames_sent_total',
    help: 'Frames of screens sent to viewers, keyframes included.',
    ...this.#shared,
  });
  readonly framesDropped = new Counter({
    name: 'warmwind_relay_frames_dropped_total',
    help: 'Frames left out for one viewer, because it needed a keyframe or its window was full.',
    ...this.#shared,
  });
  readonly keyframesRequested = new Counter({
    name: 'warmwind_relay_keys_asked_total',
    help: 'Requests to hosts for a keyframe.',
    ...this.#shared,
  });
  readonly inputs = new Counter({
    name: 'warmwind_relay_inputs_total',
    help: 'Inputs of viewers, by outcome: sent to the host, or the reason for which they were dropped.',
    labelNames: ['outcome'],
    ...this.#shared,
  });
  readonly errors = new Counter({
    name: 'warmwind_relay_handler_errors_total',
    help: 'Handlers that failed with an unexpected error.',
    ...this.#shared,
  });

  /** Reports a count whenever metrics are read. */
  count(name: keyof typeof FOLLOWED, count: () => number): void {
    new Gauge({
      name: `warmwind_relay_${name}`,
      help: FOLLOWED[name],
      ...this.#shared,
      collect() {
        this.set(count());
      },
    });
  }

  /** Reports the unsent bytes whenever metrics are read. */
  watchOutgoing(held: () => { events: number; frames: number }): void {
    new Gauge({
      name: 'warmwind_relay_outgoing_bytes',
      help: 'Unsent bytes for clients, as last measured.',
      labelNames: ['kind'],
      ...this.#shared,
      collect() {
        for (const [kind, bytes] of Object.entries(held())) this.set({ kind }, bytes);
      },
    });
  }

  /** Reports whether a Redis connection is up whenever metrics are read. */
  watchRedis(connections: Record<string, { status: string }>): void {
    new Gauge({
      name: 'warmwind_relay_redis_up',
      help: '1 while the connection is ready.',
      labelNames: ['connection'],
      ...this.#shared,
      collect() {
        for (const [connection, { status }] of Object.entries(connections)) {
          this.set({ connection }, status === 'ready' ? 1 : 0);
        }
      },
    });
  }
}
