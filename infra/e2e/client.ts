import type { Container } from '@warmwind/shared/containers';
import type { Envelope } from '@warmwind/shared/events';
import type { Ack, Ticket } from '@warmwind/shared/realtime';
import { io, type Socket } from 'socket.io-client';
import type { StackFile } from '../stack/state.ts';

/** A call to the edge as any client makes it. Answers the status and the parsed body. */
export async function call<T = Record<string, unknown>>(
  stack: StackFile,
  method: string,
  path: string,
  { token = stack.tokens.user, body }: { token?: string; body?: unknown } = {},
): Promise<{ status: number; body: T }> {
  const response = await fetch(`${stack.edge}${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(15_000),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as T };
}

/** A stock Socket.IO client at one relay (node), with all that it received. */
export type Watcher = { socket: Socket; events: Envelope[]; subscribe: (room: string) => Promise<Ack> };

export async function watch(stack: StackFile, relay: string): Promise<Watcher> {
  const { body: ticket } = await call<Ticket>(stack, 'POST', '/realtime/token', { body: {} });
  const socket = io(relay, { transports: ['websocket'], auth: { token: ticket.token } });
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

/** Does the relay let a page of this origin in? What it refuses for another reason is let in. */
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

export const getContainer = (stack: StackFile, id: string) =>
  call<Container>(stack, 'GET', `/containers/${id}`);
