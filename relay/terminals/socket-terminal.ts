import { type OpenTerminalSession, TerminalAttachment } from '@warmwind/shared/client/terminal-attachment';
import { TerminalError } from '@warmwind/shared/client/terminal-error';
import { ApiError, isErrorCode } from '@warmwind/shared/contract/errors';
import type { SessionInputs } from '@warmwind/shared/contract/sessions/registry';
import type { TerminalSize } from '@warmwind/shared/contract/sessions/terminal';
import { LIMITS } from '../limits.ts';
import type { RelaySocket } from '../sockets/socket.ts';

/** The connection of the client has ended, or it attached again. */
class DetachedError extends Error {
  override name = 'DetachedError';
}

/** The attachment of one socket to one terminal. */
export class SocketTerminal {
  readonly #socket: RelaySocket;
  readonly #attachment: TerminalAttachment;
  /** Resolves once the client was notified of the attachment: output follows. */
  readonly #begun = Promise.withResolvers<void>();
  /** Bytes of input that were accepted, and those of them that its session has not taken. */
  #received = 0;
  #waiting = 0;

  /** @param after the output that the client has received, bytes */
  constructor(socket: RelaySocket, session: OpenTerminalSession, of: { containerId: string; after: number }) {
    this.#socket = socket;
    this.#attachment = new TerminalAttachment({
      ...of,
      session,
      onOutput: (bytes, offset) => this.#output(bytes, offset),
    });
  }

  /** The fields of a positive acknowledgement. */
  get attached(): { ttyId: string; incarnation: number; offset: number } {
    const { ttyId, incarnation, offset } = this.#attachment;
    return { ttyId, incarnation, offset };
  }

  /** @throws ApiError when the terminal is refused */
  async start(input: SessionInputs['container.terminal'], incarnation?: number): Promise<void> {
    await this.#attachment.start(input, incarnation).catch((error: unknown): never => {
      throw apiErrorOf(error);
    });
  }

  /** Lets output follow. @param onEnd called when the attachment has ended */
  begin(onEnd: () => void): void {
    this.#begun.resolve();
    const { ttyId } = this.#attachment;
    this.#attachment.exited
      .then(
        (exit) => this.#socket.emit('tty:exit', { ttyId, ...exit }),
        (error: unknown) => {
          if (error instanceof DetachedError) return;
          const { code, message } = apiErrorOf(error);
          this.#socket.emit('tty:detached', { ttyId, code, message });
        },
      )
      .finally(onEnd);
  }

  /** Ends the attachment without a notice. */
  end(): void {
    this.#attachment.end(new DetachedError('the client has left'));
  }

  /**
   * Takes input. Repeated bytes are recognized by their offset.
   * @param offset bytes of input that the client has sent before
   * @returns the bytes of input that were accepted
   * @throws ApiError `conflict` after a gap, `rate_limited` while the program does not read, `unavailable`
   */
  input(bytes: Uint8Array, offset = this.#received): number {
    this.#requireHost();
    const repeated = this.#received - offset;
    if (repeated < 0) {
      throw new ApiError('conflict', `Input is missing: send it again from offset ${this.#received} on.`);
    }
    const fresh = bytes.slice(repeated);
    if (fresh.length === 0) return this.#received;
    if (this.#waiting + fresh.length > LIMITS.terminalInputBytes) {
      throw new ApiError('rate_limited', 'The program does not read its input: send it again in a moment.', {
        retryAfterMs: 1000,
      });
    }
    this.#received += fresh.length;
    this.#waiting += fresh.length;
    const taken = () => {
      this.#waiting -= fresh.length;
    };
    this.#attachment.send(fresh).then(taken, taken);
    return this.#received;
  }

  /** @throws ApiError `unavailable` */
  resize(size: TerminalSize): void {
    this.#requireHost();
    void this.#attachment.resize(size);
  }

  #requireHost(): void {
    if (this.#attachment.isAttached) return;
    throw new ApiError('unavailable', "The terminal's host is away: send it again in a moment.", {
      retryAfterMs: 1000,
    });
  }

  /** Sends output once the connection takes more, so that a client that does not read slows its terminal. */
  async #output(bytes: Uint8Array, offset: number): Promise<void> {
    const { ttyId } = this.#attachment;
    const { outlet } = this.#socket.data;
    await this.#begun.promise;
    await outlet.turn(async () => {
      this.#socket.emit('tty:data', { ttyId, offset, bytes });
      outlet.sent(bytes.length);
    });
  }
}

/** @returns the refusal or the end of a terminal as its client reads it */
export function apiErrorOf(error: unknown): ApiError {
  if (!(error instanceof TerminalError)) throw error;
  if (error.code === 'container_ended') return noTerminal();
  if (isErrorCode(error.code)) return new ApiError(error.code, error.message);
  return new ApiError('unavailable', "The terminal's host can not be reached: attach again.", {
    retryAfterMs: 1000,
  });
}

export const noTerminal = (): ApiError =>
  new ApiError('not_found', 'There is no such terminal: open another one.');
