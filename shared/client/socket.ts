import { io, type Socket } from 'socket.io-client';

/** Where the relay is, and what lets one in. */
export type SocketOptions = {
  /** Where the relay is, as `POST /realtime/token` says. */
  url: string;
  /** A relay ticket, or what fetches one: it is asked again at every reconnect, so the connection outlives its tickets. */
  token: string | (() => string | Promise<string>);
};

/** A connection to the relay that comes back after it was lost. A failed `token` connects with none, and is refused. */
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
