import { hasEnded } from '@warmwind/shared/contract/containers';
import { ApiError } from '@warmwind/shared/contract/errors';
import type { WatchAck } from '@warmwind/shared/contract/screen';
import { subjectOf } from '../auth/ticket.ts';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { RecordSources } from '../rooms/records.ts';
import type { Rates } from '../shares.ts';
import type { RelaySocket } from '../sockets/socket.ts';
import { openDesktop } from './access.ts';
import { Dropped } from './dropped.ts';
import { Input } from './input.ts';
import { publicHolder, type Screen } from './screen.ts';
import type { Screens } from './screens.ts';
import { Viewer } from './viewer.ts';

export type WatchContext = {
  recordSources: RecordSources;
  screens: Screens;
  metrics: Metrics;
  lookups: Rates;
};

/** One screen that a socket watches. */
export type Watched = { screen: Screen; viewer: Viewer; input: Input };

/** The screens that one socket watches. */
export class WatchedScreens {
  readonly #socket: RelaySocket;
  readonly #context: WatchContext;
  readonly #watched = new Map<string, Watched>();
  readonly #opening = new Set<string>();
  /** Reports dropped input to the socket. */
  readonly dropped: Dropped;

  constructor(socket: RelaySocket, context: WatchContext) {
    this.#socket = socket;
    this.#context = context;
    this.dropped = new Dropped(socket);
    socket.on('disconnect', () => {
      for (const containerId of this.#watched.keys()) this.unwatch(containerId);
      this.dropped.send();
    });
  }

  get(containerId: string): Watched | undefined {
    return this.#watched.get(containerId);
  }

  /**
   * Finds a screen that this socket watches. A screen that has ended is no longer watched.
   *
   * @throws ApiError `not_found`
   */
  find(containerId: string): Watched {
    const held = this.#watched.get(containerId);
    if (held?.screen.viewers.has(held.viewer.id)) return held;
    this.unwatch(containerId);
    throw new ApiError('not_found', 'This socket does not watch this screen. Send vnc:watch first.');
  }

  unwatch(containerId: string): void {
    const held = this.#watched.get(containerId);
    if (!held) return;
    this.#watched.delete(containerId);
    held.input.close();
    this.#context.screens.unwatch(held.screen, held.viewer);
  }

  /**
   * Opens a screen and replies before its first keyframe is sent.
   *
   * @throws ApiError when the socket may not watch it
   */
  async watch(containerId: string, reply: (ack: WatchAck) => void): Promise<void> {
    const { recordSources, screens, lookups } = this.#context;
    const { ticket } = this.#socket.data;
    lookups.take(subjectOf(ticket));
    const { state, width, height } = await openDesktop(recordSources, ticket, containerId);
    if (hasEnded(state)) {
      throw new ApiError('conflict', `This desktop is ${state} and can't be watched. Start another one.`);
    }
    this.#checkLimits(containerId);
    this.#opening.add(containerId);
    try {
      const { screen, settle } = await screens.open(containerId, ticket.sub);
      try {
        if (this.#socket.connected) this.#startWatching(containerId, screen, { width, height }, reply);
      } finally {
        settle();
      }
    } finally {
      this.#opening.delete(containerId);
    }
  }

  #checkLimits(containerId: string): void {
    if (this.#opening.has(containerId)) {
      throw new ApiError(
        'conflict',
        'This screen is being opened already. Wait for the answer to vnc:watch.',
      );
    }
    const most = LIMITS.screensPerSocket;
    if (this.#watched.size + this.#opening.size >= most && !this.#watched.has(containerId)) {
      throw new ApiError('quota_exceeded', `A socket may watch ${most} screens. Leave one first.`);
    }
  }

  #startWatching(
    containerId: string,
    screen: Screen,
    size: { width: number; height: number },
    reply: (ack: WatchAck) => void,
  ): void {
    const { screens, metrics } = this.#context;
    const { mode } = this.#socket.data.ticket;
    const held = this.#watched.get(containerId);
    const again = held && screen.viewers.has(held.viewer.id);
    if (!again) this.unwatch(containerId);
    const viewer = again ? held.viewer : new Viewer(containerId, this.#socket, this.dropped);
    // A viewer that watches again starts with a keyframe. Its unacknowledged frames still count.
    viewer.requireKeyframe();
    reply({ ok: true, mode, ...size, viewerId: viewer.id, holder: publicHolder(screen.control.holder) });
    if (!again) {
      const request = () => screens.act(screen, 'request', viewer);
      this.#watched.set(containerId, { screen, viewer, input: new Input(viewer, screen, request, metrics) });
    }
    screens.watch(screen, viewer);
  }
}
