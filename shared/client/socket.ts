import { io, type Socket } from 'socket.io-client';

/** The address of the relay and the ticket for it. */
export type SocketOptions = {
  /** The address of the relay: `url` of `POST /realtime/token`. */
  url: string;
  /**
   * A relay ticket, or a function that fetches one. The function is called at every connect, so that the
   * connection outlives its tickets.
   */
  token: string | (() => string | Promise<string>);
};

/**
 * Opens a connection to the relay that reconnects automatically. When `token` fails, the connection is made
 * without a ticket and the relay refuses it.
 */
export const openSocket = ({ url, token }: SocketOptions): Socket =>
  io(url, {
    forceNew: true,
    transports: ['websocket'],
    reconnectionDelay: 250,
    reconnectionDelayMax: 5000,
    timeout: 10_000,
    auth: (send) => {
      const fetched = Promise.resolve().then(() => (typeof token === 'string' ? token : token()));
      fetched.then(
        (ticket) => send({ token: ticket }),
        () => send({ token: '' }),
      );
    },
  });
