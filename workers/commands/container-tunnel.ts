import type { Socket } from 'node:net';
import type { SessionInputs, SessionResults } from '@warmwind/shared/contract/sessions/registry';
import { type SessionContext, SessionEndedError, type SessionHandler } from '../sessions/handler.ts';
import { SupervisorError } from '../supervisor/error.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';

type Input = SessionInputs['container.tunnel'];

/** Creates the handler of `container.tunnel`. @param supervisors the supervisors of this host's containers */
export const createTunnel =
  (supervisors: Pick<Supervisors, 'of'>): SessionHandler<Input, SessionResults['container.tunnel']> =>
  async (session) => {
    const socket = await dial(supervisors, session);
    const { signal, writable } = session;
    const hangUp = () => socket.destroy();
    signal.addEventListener('abort', hangUp, { once: true });
    const failed = Promise.withResolvers<never>();
    copyClient(session, socket).catch(failed.reject);
    try {
      signal.throwIfAborted();
      await Promise.race([copyContainer(socket, writable), failed.promise]);
      return {};
    } finally {
      signal.removeEventListener('abort', hangUp);
      socket.destroy();
    }
  };

/** @throws SessionEndedError with the supervisor's refusal */
async function dial(
  supervisors: Pick<Supervisors, 'of'>,
  { containerId, input, signal }: SessionContext<Input>,
): Promise<Socket> {
  try {
    const path = `/tunnels/${input.port}`;
    return (await supervisors.of(containerId).upgrade('tcp', { path, signal })).socket;
  } catch (error) {
    if (error instanceof SupervisorError) throw new SessionEndedError('failed', error.message.slice(0, 500));
    throw error;
  }
}

/** Copies the container's bytes, as fast as the client takes them, until the container ends its direction. */
async function copyContainer(socket: Socket, writable: WritableStream<Uint8Array>): Promise<void> {
  const writer = writable.getWriter();
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) await writer.write(chunk as Buffer);
}

/** Copies the client's bytes until it ends its direction; the other direction goes on. */
async function copyClient({ readable }: SessionContext<Input>, socket: Socket): Promise<void> {
  for await (const chunk of readable) {
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => socket.write(chunk, () => resolve()));
  }
  socket.end();
}
