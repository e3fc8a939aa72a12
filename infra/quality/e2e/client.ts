import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import type { Ack } from '@warmwind/shared/contract/tickets';
import { io, type Socket } from 'socket.io-client';
import type { StackFile } from '../../local/stack/state.ts';

/** Makes a client of a stack's edge for its user. */
export const edgeOf = ({ edge: url, tokens }: StackFile): EdgeClient =>
  createEdgeClient({ url, token: tokens.user });

/** A stock Socket.IO client at one relay (node), with all that it received. */
export type Watcher = { socket: Socket; events: Envelope[]; subscribe: (room: string) => Promise<Ack> };

export async function watch(stack: StackFile, relay: string): Promise<Watcher> {
  const { token } = await edgeOf(stack).createTicket();
  const socket = io(relay, { transports: ['websocket'], auth: { token } });
  const events: Envelope[] = [];
  socket.onAny((type: string, envelope: Envelope) => {
    if (/^(job|container)\./.test(type)) events.push(envelope);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return {
    socket,
    events,
    subscribe: (room) => socket.timeout(10_000).emitWithAck('subscribe', { room }) as Promise<Ack>,
  };
}

/** Whether the relay accepts a page's origin. A refusal for lack of a ticket counts as accepted. */
export function connects(relay: string, origin: string): Promise<boolean> {
  const socket = io(relay, {
    transports: ['websocket'],
    extraHeaders: { origin },
    reconnection: false,
    forceNew: true,
  });
  return new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('connect_error', (error: Error & { data?: { code?: string } }) =>
      resolve(error.data?.code === 'unauthenticated'),
    );
  }).finally(() => socket.disconnect());
}
