import type { Socket } from 'socket.io-client';
import type { ErrorCode } from '../contract/errors.ts';
import { isAnyEnvelope, isEnvelope } from '../contract/events.ts';
import { type AnyEnvelope, compareEventIds, type Envelope, type Room } from '../contract/rooms.ts';
import type { ControlRequest, Holder, InputDropped, Viewers } from '../contract/screen.ts';
import type { SessionKind } from '../contract/sessions/registry.ts';
import type { SubscribeAck } from '../contract/tickets.ts';
import { backoff } from '../runtime/backoff.ts';
import { DISCONNECTED, type Screen, WatchedScreen, type WatchOptions } from './screen.ts';
import type { ClientSession } from './session.ts';
import { ClientSessions, type OpenSessionOptions } from './sessions.ts';
import { openSocket, type SocketOptions } from './socket.ts';

/** `reconnecting` ends by itself; `closed` is final. */
export type State = 'connecting' | 'live' | 'reconnecting' | 'closed';

/** What the relay refused: the connection, or (with `room`) one subscription. */
export type Refusal = { code: ErrorCode; message: string; room?: Room };

export type ConnectOptions = SocketOptions & {
  onState?: (state: State) => void;
  /** A refused page or ticket, a failed `token`, a refused subscription. What may pass is tried again meanwhile. */
  onError?: (refusal: Refusal) => void;
};

export type SubscribeOptions = {
  /** The last event already known; left out: all that the room's log holds. */
  after?: string;
  /** Each event once and in order. Snapshots tell the present state after events were lost. */
  onEvent: (event: Envelope) => void;
  /** An event of a type, or with data, that this version does not know: a later one records it. */
  onUnknownEvent?: (event: AnyEnvelope) => void;
  /** Events were lost: snapshots follow, then what is left of the log. */
  onTruncated?: () => void;
};

export type Subscription = {
  /** The last event seen: hand it to `after` to go on in another page or process. */
  readonly lastId: string | undefined;
  unsubscribe: () => void;
};

export type Connection = {
  readonly state: State;
  /** Follows a room, over reconnects too. Throws when it is followed already. */
  subscribe: (room: Room, options: SubscribeOptions) => Subscription;
  /** Watches a desktop's screen, over reconnects too. Throws when it is watched already; `viewer.ts` shows it in a page. */
  watch: (containerId: string, options: WatchOptions) => Screen;
  /** The viewers of a desktop that is watched here, on all nodes of the relay. Rejects for guests, and while it is not watched. */
  viewers: (containerId: string) => Promise<Viewers>;
  /**
   * Opens a byte stream to a container, which goes on over reconnects. Rejects with a `SessionRefusedError`.
   *
   * @example
   * const vnc = await relay.session('container.vnc', { containerId });
   * vnc.readable.pipeTo(viewer.writable);
   * viewer.readable.pipeTo(vnc.writable);
   */
  session: <Kind extends SessionKind>(
    kind: Kind,
    options: OpenSessionOptions<Kind>,
  ) => Promise<ClientSession<Kind>>;
  close: () => void;
};

type Followed = SubscribeOptions & {
  room: Room;
  lastId: string | undefined;
  attempts: number;
  granted: boolean;
};

const ACK_MS = 10_000;
const PASSING: ErrorCode[] = ['unavailable', 'rate_limited', 'internal'];

/**
 * Connects to the relay and stays connected: fetches a fresh ticket at every reconnect and resumes every room after the
 * last event seen, so that none is missed and none comes twice.
 *
 * @example
 * const relay = connect({ url, token: async () => (await post('/realtime/token')).token });
 * const job = relay.subscribe(`job:${jobId}`, {
 *   onEvent: ({ type, data }) => {
 *     if (type === 'job.progress') show(data.percent);
 *     if (type === 'job.completed') job.unsubscribe();
 *   },
 * });
 */
export function connect({ url, token, onState, onError }: ConnectOptions): Connection {
  const rooms = new Map<string, Followed>();
  const screens = new Map<string, WatchedScreen>();
  let state: State = 'connecting';
  let refusals = 0;
  /** Why it is closed, if it was not by its user. */
  let ended: Refusal | undefined;
  const become = (next: State) => {
    if (state === next || state === 'closed') return;
    state = next;
    onState?.(next);
  };

  const socket: Socket = openSocket({ url, token });
  const sessions = new ClientSessions({ url, token });

  const follow = (followed: Followed) => {
    const { room, lastId } = followed;
    followed.granted = false;
    const connection = socket.id;
    const current = () => socket.connected && socket.id === connection && rooms.get(room) === followed;
    const request = lastId === undefined ? { room } : { room, after: lastId };
    socket.timeout(ACK_MS).emit('subscribe', request, (late: Error | null, ack: SubscribeAck) => {
      if (!current()) return;
      if (!late && ack.ok) {
        followed.attempts = 0;
        followed.granted = true;
        if (ack.truncated) {
          // The relay begins again after what it has: the position is another log's, or none at all.
          followed.lastId = undefined;
          followed.onTruncated?.();
        }
        return;
      }
      const refusal: Refusal =
        late || ack.ok ? { code: 'unavailable', message: 'The relay did not answer.' } : ack;
      if (PASSING.includes(refusal.code)) {
        followed.attempts += 1;
        setTimeout(() => current() && follow(followed), backoff(followed.attempts));
      } else {
        rooms.delete(room);
      }
      onError?.({ code: refusal.code, message: refusal.message, room });
    });
  };

  const reconnectLater = () => {
    refusals += 1;
    become('reconnecting');
    setTimeout(() => state !== 'closed' && socket.connect(), backoff(refusals));
  };
  const close = () => {
    rooms.clear();
    sessions.close();
    for (const screen of screens.values()) screen.close();
    become('closed');
    socket.disconnect();
  };
  const end = (refusal: Refusal) => {
    ended = refusal;
    for (const screen of screens.values()) screen.refused(refusal);
    close();
    onError?.(refusal);
  };

  socket.on('connect', () => {
    refusals = 0;
    become('live');
    for (const followed of rooms.values()) follow(followed);
    for (const screen of screens.values()) screen.rejoin();
  });
  socket.on('connect_error', (error: Error & { data?: Refusal }) => {
    // Active: the relay was not reached, and Socket.IO tries again by itself.
    if (socket.active) return become('reconnecting');
    const { code = 'unauthenticated', message = error.message } = error.data ?? {};
    // The relay's answer to a page of an origin that is not permitted: another ticket changes nothing.
    const final = code === 'forbidden' || (typeof token === 'string' && code === 'unauthenticated');
    if (final) return end({ code, message });
    reconnectLater();
    onError?.({ code, message });
  });
  socket.on('disconnect', (reason) => {
    if (state === 'closed') return;
    // Said to a viewer that the owner of a screen has sent away, and to nobody else.
    if (reason === 'io server disconnect') {
      return end({ code: 'forbidden', message: 'The owner of the screen has disconnected you.' });
    }
    for (const screen of screens.values()) screen.gone(DISCONNECTED);
    if (socket.active) become('reconnecting');
    else reconnectLater();
  });
  const screen = (id: unknown) => screens.get(String(id));
  socket.on('vnc:key', (id, epoch, seq, width, height, bytes) => {
    screen(id)?.key(epoch, seq, width, height, bytes);
  });
  socket.on('vnc:frame', (id, epoch, seq, bytes) => screen(id)?.frame(epoch, seq, bytes));
  socket.on('vnc:control', (message: { containerId: string; holder: Holder | null }) =>
    screen(message.containerId)?.controlled(message.holder),
  );
  socket.on('vnc:request', (message: ControlRequest) =>
    screen(message.containerId)?.requested(message.viewer),
  );
  socket.on('vnc:dropped', (message: InputDropped) => screen(message.containerId)?.dropped(message));
  socket.on('vnc:cut', (message: { containerId: string; text: string }) =>
    screen(message.containerId)?.clipboard(message.text),
  );
  socket.on('vnc:cutTooLong', (message: { containerId: string }) =>
    screen(message.containerId)?.clipboardTooLarge(),
  );
  socket.on('vnc:gone', (message: { containerId: string; reason: string }) =>
    screen(message.containerId)?.gone(message.reason),
  );
  socket.onAny((type: string, event: unknown) => {
    if (!isAnyEnvelope(event)) return;
    const followed = rooms.get(event.room);
    // What comes before the answer is from an earlier subscription to the same room.
    if (!followed?.granted) return;
    const seen = followed.lastId !== undefined && compareEventIds(event.id, followed.lastId) <= 0;
    if (seen && !type.endsWith('.snapshot')) return;
    followed.lastId = event.id;
    if (isEnvelope(event)) followed.onEvent(event);
    else followed.onUnknownEvent?.(event);
  });

  return {
    get state() {
      return state;
    },
    subscribe(room, options) {
      if (rooms.has(room)) throw new Error(`already subscribed to ${room}`);
      const followed: Followed = { ...options, room, lastId: options.after, attempts: 0, granted: false };
      rooms.set(room, followed);
      if (socket.connected) follow(followed);
      return {
        get lastId() {
          return followed.lastId;
        },
        unsubscribe: () => {
          if (rooms.get(room) !== followed) return;
          rooms.delete(room);
          if (socket.connected) socket.emit('unsubscribe', { room });
        },
      };
    },
    watch(containerId, options) {
      if (screens.has(containerId)) throw new Error(`already watching ${containerId}`);
      const watched = new WatchedScreen(socket, containerId, options, () => screens.delete(containerId));
      screens.set(containerId, watched);
      if (socket.connected) watched.rejoin();
      else if (ended) watched.refused(ended);
      return watched;
    },
    async viewers(containerId) {
      const watched = screens.get(containerId);
      if (!watched) throw new Error(`not watching ${containerId}`);
      return watched.viewers();
    },
    session: (kind, options) => sessions.open(kind, options),
    close,
  };
}
