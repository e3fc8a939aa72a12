import type { AnyEnvelope } from '@warmwind/shared/contract/rooms';
import type { Outlet } from '../outgoing.ts';
import type { Prebuilt } from '../sockets/prebuilt.ts';
import type { RelaySocket } from '../sockets/socket.ts';

/** The receiver of a subscription: a socket, or a stream over HTTP. */
export type Listener = {
  /** Bounds its unsent bytes. */
  outlet: Outlet;
  /** Sends an event. `prebuilt` is the same event, encoded for sockets. */
  send: (event: AnyEnvelope, prebuilt: Prebuilt) => void;
};

export const socketListener = ({ data: { outlet, wire } }: RelaySocket): Listener => ({
  outlet,
  send: (_event, prebuilt) => {
    prebuilt.send(wire);
    outlet.sent(prebuilt.bytes);
  },
});
