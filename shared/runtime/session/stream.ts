import type { SessionFrame } from './frames.ts';
import { IncomingBytes } from './incoming.ts';
import { OutgoingBytes } from './outgoing.ts';

/**
 * One end of a session as a pure state machine: bytes in both directions, each with an offset, credit and an
 * end of its own. Frames may be lost, duplicated, or sent again over another connection.
 *
 * @example
 * stream.outgoing.write(bytes);
 * for (let frame = stream.next(); frame; frame = stream.next()) send(frame);
 */
export class SessionStream {
  readonly incoming = new IncomingBytes();
  readonly outgoing: OutgoingBytes;

  /**
   * @param chunkBytes the largest chunk that its connection carries
   * @param windowBytes the most bytes that it sends beyond those that the peer has read
   */
  constructor(chunkBytes: number, windowBytes?: number) {
    this.outgoing = new OutgoingBytes(chunkBytes, windowBytes);
  }

  /** @throws SessionProtocolError when the peer violates the protocol */
  receive(frame: SessionFrame): void {
    if (frame.t === 'data') this.incoming.data(frame.offset, frame.bytes);
    else if (frame.t === 'end') this.incoming.end(frame.offset);
    else this.outgoing.acknowledge(frame);
  }

  /** @returns the next frame to send: an acknowledgement before data */
  next(): SessionFrame | undefined {
    return this.incoming.next() ?? this.outgoing.next();
  }

  /**
   * Recovers on a new connection, or after frames may have been lost: both sides send the bytes again that
   * have not arrived.
   */
  resume(): void {
    this.incoming.resume();
    this.outgoing.resend();
  }

  tick(): void {
    this.incoming.tick();
    this.outgoing.tick();
  }
}
