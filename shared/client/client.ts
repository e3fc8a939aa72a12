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

/** The state of a connection. `reconnecting` ends automatically; `closed` is final. */
export type State = 'connecting' | 'live' | 'reconnecting' | 'closed';

/** A refusal of the relay: of the connection, or of one subscription when `room` is present. */
export type Refusal = { code: ErrorCode; message: string; room?: Room };

/** Options of {@link connect}. */
export type ConnectOptions = SocketOptions & {
  /** Called with each new state. */
  onState?: (state: State) => void;
  /**
   * Called when the relay refuses the page's origin, the ticket or a subscription, and when `token` fails.
   * Temporary refusals are retried automatically.
   */
  onError?: (refusal: Refusal) => void;
};

/** Options of a subscription. */
export type SubscribeOptions = {
  /** Delivers only events after this event id. Default: every event of the room's log. */
  after?: string;
  /** Called with each event, once and in order. Snapshots of the present state follow a loss of events. */
  onEvent: (event: Envelope) => void;
  /** Called with events of a later version, whose type or data this version does not know. */
  onUnknownEvent?: (event: AnyEnvelope) => void;
  /** Called when events were lost. Snapshots follow, then the remaining events of the log. */
  onTruncated?: () => void;
};

/** A subscription to a room. */
export type Subscription = {
  /** The id of the last event. Pass it as `after` to continue in another page or process. */
  readonly lastId: string | undefined;
  /** Ends the subscription. */
  unsubscribe: () => void;
};

/** A connection to the relay, of {@link connect}. */
export type Connection = {
  /** The present state. */
  readonly state: State;
  /**
   * Subscribes to a room. The subscription continues after reconnects.
   *
   * @throws Error when this connection is already subscribed to the room
   */
  subscribe: (room: Room, options: SubscribeOptions) => Subscription;
  /**
   * Watches a desktop's screen. It continues after reconnects. `createViewer` shows a screen in a page.
   *
   * @throws Error when this connection already watches the screen
   */
  watch: (containerId: string, options: WatchOptions) => Screen;
  /**
   * Lists the viewers of a watched desktop, on all nodes of the relay.
   *
   * @throws Error when this connection does not watch the desktop, or is that of a guest
   */
  viewers: (containerId: string) => Promise<Viewers>;
  /**
   * Opens a session: a pair of byte streams to a container, which continues after reconnects.
   *
   * @throws SessionRefusedError when the relay or the container's host refuses it
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
  /** Ends all subscriptions, screens and sessions, and closes the connection. */
  close: () => void;
};

type RoomSubscription = SubscribeOptions & {
  room: Room;
  lastId: string | undefined;
  attempts: number;
  granted: boolean;
};

const ACK_MS = 10_000;
const PASSING: ErrorCode[] = ['unavailable', 'rate_limited', 'internal'];

/**
 * Connects to the relay and reconnects automatically. Every reconnect fetches a fresh ticket and resumes each
 * room after its last event, so that no event is missed or repeated.
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
  const rooms = new Map<string, RoomSubscription>();
  const screens = new Map<string, WatchedScreen>();
  let state: State = 'connecting';
  let refusals = 0;
  /** Why the relay closed the connection. */
  let finalRefusal: Refusal | undefined;
  const setState = (next: State) => {
    if (state === next || state === 'closed') return;
    state = next;
    onState?.(next);
  };

  const socket: Socket = openSocket({ url, token });
  const sessions = new ClientSessions({ url, token });

  const sendSubscribe = (subscription: RoomSubscription) => {
    const { room, lastId } = subscription;
    subscription.granted = false;
    const connection = socket.id;
    const current = () => socket.connected && socket.id === connection && rooms.get(room) === subscription;
    const request = lastId === undefined ? { room } : { room, after: lastId };
    socket.timeout(ACK_MS).emit('subscribe', request, (timedOut: Error | null, ack: SubscribeAck) => {
      if (!current()) return;
      if (!timedOut && ack.ok) {
        subscription.attempts = 0;
        subscription.granted = true;
        if (ack.truncated) {
          // The relay restarts from its present log, in which the old position has no meaning.
          subscription.lastId = undefined;
          subscription.onTruncated?.();
        }
        return;
      }
      const refusal: Refusal =
        timedOut || ack.ok ? { code: 'unavailable', message: 'The relay did not respond in time.' } : ack;
      if (PASSING.includes(refusal.code)) {
        subscription.attempts += 1;
        setTimeout(() => current() && sendSubscribe(subscription), backoff(subscription.attempts));
      } else {
        rooms.delete(room);
      }
      onError?.({ code: refusal.code, message: refusal.message, room });
    });
  };

  const scheduleReconnect = () => {
    refusals += 1;
    setState('reconnecting');
    setTimeout(() => state !== 'closed' && socket.connect(), backoff(refusals));
  };
  const close = () => {
    rooms.clear();
    sessions.close();
    for (const screen of screens.values()) screen.close();
    setState('closed');
    socket.disconnect();
  };
  const end = (refusal: Refusal) => {
    finalRefusal = refusal;
    for (const screen of screens.values()) screen.refused(refusal);
    close();
    onError?.(refusal);
  };

  socket.on('connect', () => {
    refusals = 0;
    setState('live');
    for (const subscription of rooms.values()) sendSubscribe(subscription);
    for (const screen of screens.values()) screen.rejoin();
  });
  socket.on('connect_error', (error: Error & { data?: Refusal }) => {
    // Active: the relay was not reached, and Socket.IO reconnects automatically.
    if (socket.active) return setState('reconnecting');
    const { code = 'unauthenticated', message = error.message } = error.data ?? {};
    // `forbidden`: the page's origin is not permitted, so that another ticket does not help.
    const final = code === 'forbidden' || (typeof token === 'string' && code === 'unauthenticated');
    if (final) return end({ code, message });
    scheduleReconnect();
    onError?.({ code, message });
  });
  socket.on('disconnect', (reason) => {
    if (state === 'closed') return;
    // The relay sends this only to a viewer that the owner has disconnected.
    if (reason === 'io server disconnect') {
      return end({ code: 'forbidden', message: 'The owner of the desktop has disconnected you.' });
    }
    for (const screen of screens.values()) screen.gone(DISCONNECTED);
    if (socket.active) setState('reconnecting');
    else scheduleReconnect();
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
    const subscription = rooms.get(event.room);
    // Events before the acknowledgement belong to an earlier subscription to the same room.
    if (!subscription?.granted) return;
    const seen = subscription.lastId !== undefined && compareEventIds(event.id, subscription.lastId) <= 0;
    if (seen && !type.endsWith('.snapshot')) return;
    subscription.lastId = event.id;
    if (isEnvelope(event)) subscription.onEvent(event);
    else subscription.onUnknownEvent?.(event);
  });

  return {
    get state() {
      return state;
    },
    subscribe(room, options) {
      if (rooms.has(room)) throw new Error(`Already subscribed to ${room}. Unsubscribe first.`);
      const subscription: RoomSubscription = {
        ...options,
        room,
        lastId: options.after,
        attempts: 0,
        granted: false,
      };
      rooms.set(room, subscription);
      if (socket.connected) sendSubscribe(subscription);
      return {
        get lastId() {
          return subscription.lastId;
        },
        unsubscribe: () => {
          if (rooms.get(room) !== subscription) return;
          rooms.delete(room);
          if (socket.connected) socket.emit('unsubscribe', { room });
        },
      };
    },
    watch(containerId, options) {
      if (screens.has(containerId))
        throw new Error(`Already watching ${containerId}. Close its screen first.`);
      const watched = new WatchedScreen(socket, containerId, options, () => screens.delete(containerId));
      screens.set(containerId, watched);
      if (socket.connected) watched.rejoin();
      else if (finalRefusal) watched.refused(finalRefusal);
      return watched;
    },
    async viewers(containerId) {
      const watched = screens.get(containerId);
      if (!watched) throw new Error(`Not watching ${containerId}. Watch it first.`);
      return watched.viewers();
    },
    session: (kind, options) => sessions.open(kind, options),
    close,
  };
}
