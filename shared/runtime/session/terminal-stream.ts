import type { z } from 'zod';
import type { TerminalNotice, TerminalRequest } from '../../contract/sessions/terminal.ts';

const HEAD_BYTES = 5;
const BYTES = 0;
const JSON_TEXT = 1;
/** The longest JSON of a message. */
const MAX_JSON_BYTES = 4096;

/** The peer sent bytes that are no message of a terminal. */
export class TerminalStreamError extends Error {
  override name = 'TerminalStreamError';
}

/**
 * Encodes a message of a terminal's session, in either direction: a type (0: bytes of the terminal, 1: JSON),
 * the length as four bytes, and the payload.
 * @param content bytes of the terminal, or a notice or request
 */
export function encodeTerminalMessage(content: Uint8Array | TerminalNotice | TerminalRequest): Uint8Array {
  const isBytes = content instanceof Uint8Array;
  const payload = isBytes ? content : new TextEncoder().encode(JSON.stringify(content));
  const message = new Uint8Array(HEAD_BYTES + payload.length);
  const view = new DataView(message.buffer);
  view.setUint8(0, isBytes ? BYTES : JSON_TEXT);
  view.setUint32(1, payload.length);
  message.set(payload, HEAD_BYTES);
  return message;
}

/**
 * Reads the messages of a terminal's session. The bytes of one message may come in several parts.
 * @param schema checks the JSON of the peer
 * @throws TerminalStreamError when the peer sends anything else
 */
export async function* readTerminalMessages<T>(
  stream: ReadableStream<Uint8Array>,
  schema: z.ZodType<T>,
): AsyncGenerator<Uint8Array | T, void> {
  const reader = stream.getReader();
  let rest = new Uint8Array(0);
  /** @returns whether so many bytes are there; false at the end of the stream */
  const fill = async (count: number): Promise<boolean> => {
    while (rest.length < count) {
      const { value, done } = await reader.read();
      if (done) return false;
      rest = rest.length > 0 ? joined(rest, value) : new Uint8Array(value);
    }
    return true;
  };
  const take = (count: number): Uint8Array => {
    const taken = rest.subarray(0, count);
    rest = rest.subarray(count);
    return taken;
  };
  while (await fill(HEAD_BYTES)) {
    const head = take(HEAD_BYTES);
    const view = new DataView(head.buffer, head.byteOffset, HEAD_BYTES);
    let left = view.getUint32(1);
    if (view.getUint8(0) === JSON_TEXT) {
      if (left > MAX_JSON_BYTES) throw new TerminalStreamError('A message is too long.');
      if (!(await fill(left))) throw new TerminalStreamError('The stream ended within a message.');
      yield parsed(take(left), schema);
    } else if (view.getUint8(0) === BYTES) {
      for (; left > 0; ) {
        if (!(await fill(1))) throw new TerminalStreamError('The stream ended within a message.');
        const bytes = take(Math.min(left, rest.length));
        left -= bytes.length;
        yield bytes;
      }
    } else throw new TerminalStreamError('A message is of an unknown type.');
  }
}

function parsed<T>(bytes: Uint8Array, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (error) {
    throw new TerminalStreamError('A message holds unknown JSON.', { cause: error });
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
