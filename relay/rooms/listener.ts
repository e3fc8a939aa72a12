import type { AnyEnvelope } from '@warmwind/shared/contract/rooms';
import type { Outlet } from '../outgoing.ts';
import type { Prebuilt } from '../sockets/prebuilt.ts';
import type { RelaySocket } from '../sockets/socket.ts';

/** The receiver of a subscription: a socket, or a stream over HTTP. */
export type Listener = {
  /** Bounds what it may be sent. */
  outlet: Outlet;
  /** Sends an event, which is the same as `prebuilt` for a socket. */
  send: (event: AnyEnvelope, prebuilt: Prebuilt) => void;
};

export const socketListener = ({ data: { outlet, wire } }: RelaySocket): Listener => ({
  outlet,
  send: (_event, prebuilt) => {
    prebuilt.send(wire);
    outlet.sent(prebuilt.bytes);
  },
});
