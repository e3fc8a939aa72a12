import type { TerminalExit, TerminalSize } from '../contract/sessions/terminal.ts';
import type { Connection } from './client.ts';
import { closeTerminal, TerminalAttachment, type TerminalAttachmentOptions } from './terminal-attachment.ts';
import { TerminalError } from './terminal-error.ts';

type AttachmentOptions = {
  /** Ends the attachment; the terminal and its program continue. */
  signal?: AbortSignal;
  /** Called with the number of bytes of output that were overwritten before they were received. */
  onGap?: (bytes: number) => void;
  /** Called after the terminal was attached again because its host was away: input may have been lost. */
  onReattached?: () => void;
};

/** Options of {@link openTerminal}. */
export type OpenTerminalOptions = TerminalSize &
  AttachmentOptions & {
    containerId: string;
    /** The program and its arguments. Default: a login shell. */
    cmd?: [string, ...string[]];
    /** The expected incarnation of the container. Any other is refused with `gone_incarnation`. */
    incarnation?: number;
  };

/** Options of {@link attachTerminal}. */
export type AttachTerminalOptions = AttachmentOptions & {
  ttyId: string;
  /** Bytes of output received before. Default: 0, all output that is still kept. */
  after?: number;
};

/** An attachment to a terminal. It attaches again automatically, and continues where it was. */
export type Terminal = {
  /** The id of the terminal, for {@link attachTerminal}. */
  readonly ttyId: string;
  /** Output bytes. Unread output holds the program back, or is overwritten after some seconds. */
  readonly readable: ReadableStream<Uint8Array>;
  /**
   * Input bytes. Input is sent once: bytes on their way while the container's worker is killed may be lost.
   * Closing it has no effect on the program: send `\x04` for the end of its input.
   */
  readonly writable: WritableStream<Uint8Array>;
  /** The position after the last output that was received. Pass it as `after` to continue elsewhere. */
  readonly offset: number;
  /**
   * Resolves when the program has ended and all its output was read; rejects with a `TerminalError`
   * when the attachment ends before.
   */
  readonly exited: Promise<TerminalExit>;
  /** Sets the size for all attachments of the terminal. */
  resize: (size: TerminalSize) => void;
  /**
   * Ends the program and every process that it started; resolves, as `exited` does, when they are gone.
   *
   * @throws TerminalError when the terminal or its host can't be reached
   */
  close: () => Promise<TerminalExit>;
  /** Ends the attachment; the terminal continues. */
  detach: () => void;
};

/**
 * Opens a terminal in a container.
 *
 * @throws TerminalError when it is refused, or the reason of the signal when that aborts
 *
 * @example
 * const terminal = await openTerminal(relay, { containerId, cols: 80, rows: 24 });
 * const writer = terminal.writable.getWriter();
 * await writer.write(new TextEncoder().encode('ls; exit\n'));
 * for await (const bytes of terminal.readable) process.stdout.write(bytes);
 * const { code } = await terminal.exited;
 */
export function openTerminal(
  { session }: Pick<Connection, 'session'>,
  { containerId, cols, rows, cmd, incarnation, ...options }: OpenTerminalOptions,
): Promise<Terminal> {
  const input = { cols, rows, ...(cmd ? { cmd } : {}) };
  return start({ session, containerId }, options, (attachment) => attachment.start(input, incarnation));
}

/**
 * Attaches to a terminal that is open, perhaps in another page or process. All attachments receive its
 * output.
 *
 * @throws TerminalError when it is refused, or the reason of the signal when that aborts
 */
export function attachTerminal(
  { session }: Pick<Connection, 'session'>,
  { ttyId, after = 0, ...options }: AttachTerminalOptions,
): Promise<Terminal> {
  const [containerId = ''] = ttyId.split('.');
  return start({ session, containerId, after }, options, (attachment) => attachment.start({ ttyId, after }));
}

async function start(
  of: Pick<TerminalAttachmentOptions, 'session' | 'containerId' | 'after'>,
  { signal, onGap, onReattached }: AttachmentOptions,
  open: (attachment: TerminalAttachment) => Promise<void>,
): Promise<Terminal> {
  signal?.throwIfAborted();
  // Nothing is read ahead, so that unread output is no credit for the host.
  const output = new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 1 }, { highWaterMark: 0 });
  const reading = output.writable.getWriter();
  reading.closed.catch(() => undefined);
  const onOutput = (bytes: Uint8Array) => reading.write(bytes);
  const attachment = new TerminalAttachment({ ...of, onOutput, onGap, onReattached });
  const abort = () => attachment.end(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  const settled = () => signal?.removeEventListener('abort', abort);
  attachment.exited.then(settled, settled);
  attachment.exited
    .then(
      () => reading.close(),
      (error: unknown) => reading.abort(error),
    )
    .catch(() => undefined);
  await open(attachment);
  return facade(of, attachment, output.readable);
}

function facade(
  { session, containerId }: Pick<TerminalAttachmentOptions, 'session' | 'containerId'>,
  attachment: TerminalAttachment,
  readable: ReadableStream<Uint8Array>,
): Terminal {
  const { ttyId } = attachment;
  const exited = Promise.withResolvers<TerminalExit>();
  exited.promise.catch(() => undefined);
  attachment.exited.then(exited.resolve, exited.reject);
  return {
    ttyId,
    readable,
    writable: new WritableStream({ write: (bytes) => attachment.send(bytes) }),
    get offset() {
      return attachment.offset;
    },
    exited: exited.promise,
    resize: (size) => void attachment.resize(size),
    close: async () => {
      const { code = null, ...signal } = await closeTerminal(session, { containerId, ttyId });
      exited.resolve({ code, ...signal });
      return exited.promise;
    },
    detach: () => attachment.end(new TerminalError('aborted', 'The attachment was ended. Attach again.')),
  };
}
