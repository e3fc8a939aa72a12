import { SessionClosedError } from '@warmwind/shared/client/session';
import type { WebSocket } from 'ws';
import { LIMITS } from '../limits.ts';
import type { NodeSession } from '../sessions/node-session.ts';

const COMPLETED = 1000;
const NOT_BINARY = 1003;
const FAILED = 1011;
/** The longest reason of a WebSocket's end, bytes. */
const MAX_REASON_BYTES = 123;

/**
 * Carries the bytes of a session over a WebSocket, as binary messages, as fast as their receiver takes them. The
 * end of the session closes the WebSocket with 1000, or with 1011 and `<code>: <message>`. The end of the
 * WebSocket ends the session, once the container has taken what the client sent.
 */
export function carrySession(ws: WebSocket, session: NodeSession): void {
  carryUp(ws, session);
  watch(ws);
  carryDown(ws, session).catch((error: unknown) => {
    const { code, message } = error instanceof SessionClosedError ? error : UNEXPECTED;
    ws.close(FAILED, shorten(`${code}: ${message}`));
    session.abort();
  });
}

/** Copies the client's messages, one by one. */
function carryUp(ws: WebSocket, session: NodeSession): void {
  const writer = session.writable.getWriter();
  writer.closed.catch(ignore);
  ws.on('message', (data: Buffer, isBinary: boolean) => {
    if (!isBinary) {
      ws.close(NOT_BINARY, 'Send binary messages.');
      return;
    }
    ws.pause();
    const resume = () => ws.resume();
    writer.write(data).then(resume, resume);
  });
  ws.on('error', ignore);
  ws.once('close', () => {
    writer.close().catch(ignore);
    const timer = setTimeout(() => session.abort(), LIMITS.streamLingerMs);
    session.closed.catch(ignore).finally(() => clearTimeout(timer));
  });
}

/** Copies the container's bytes, until it has ended its direction. */
async function carryDown(ws: WebSocket, session: NodeSession): Promise<void> {
  for await (const chunk of session.readable) {
    // After the WebSocket has closed, the rest is discarded.
    if (ws.readyState === ws.OPEN) await new Promise((resolve) => ws.send(chunk, resolve));
  }
  await session.closed;
  ws.close(COMPLETED);
}

/** Closes a WebSocket whose client no longer answers. One that waits for the container is left alone. */
function watch(ws: WebSocket): void {
  let isAlive = true;
  const alive = () => {
    isAlive = true;
  };
  ws.on('pong', alive).on('message', alive);
  const timer = setInterval(() => {
    if (!isAlive && !ws.isPaused) ws.terminate();
    isAlive = false;
    ws.ping();
  }, LIMITS.streamPingMs);
  ws.once('close', () => clearInterval(timer));
}

const UNEXPECTED = { code: 'failed', message: 'The stream failed. Open another one.' };
const ignore = () => undefined;

/** Shortens a text to the length of a reason, between two characters. */
const shorten = (text: string): string =>
  new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, MAX_REASON_BYTES), { stream: true });
