import { type Clipboard, MAX_CLIPBOARD_BYTES } from './clipboard.ts';
import { type Parser, ProtocolError, skip } from './feed.ts';
import type { Size } from './messages.ts';
import { TightStreams } from './tight.ts';
import { readUpdate, type Update, type UpdateHandler } from './update.ts';

const UPDATE = 0;
const BELL = 2;
const CUT_TEXT = 3;
/** Longest clipboard message that is skipped; a longer one is a violation. */
const MAX_SKIPPED = 16 * 2 ** 20;

/** Returned by a handler that needs no more messages. */
export const DONE = Symbol('done');

export type ServerHandler = UpdateHandler & {
  /** Called at the end of each update. The promise that it returns is awaited before more is read. */
  update: (update: Update) => Promise<unknown> | undefined | typeof DONE;
  /** `undefined`: clipboard messages are skipped. */
  clipboard: Clipboard | undefined;
};

/** Parses the server's messages after the handshake, until the handler returns `DONE`. */
export function* serverMessages(initial: Size, on: ServerHandler): Parser<void> {
  const streams = new TightStreams();
  let screen = initial;
  for (;;) {
    const type = (yield 1).readUInt8();
    if (type === UPDATE) {
      const update = yield* readUpdate(screen, streams, on);
      screen = update.size ?? screen;
      const answer = on.update(update);
      if (answer === DONE) return;
      if (answer) yield answer;
    } else if (type === CUT_TEXT) {
      yield* readCutText(on.clipboard);
    } else if (type !== BELL) {
      throw new ProtocolError(`message ${type} was not requested`);
    }
  }
}

/** A negative length marks the extended form. */
function* readCutText(clipboard: Clipboard | undefined): Parser<void> {
  const signed = (yield 7).readInt32BE(3);
  const length = Math.abs(signed);
  if (length > MAX_SKIPPED) throw new ProtocolError('a clipboard message that is too long');
  if (!clipboard || length > MAX_CLIPBOARD_BYTES) {
    clipboard?.tooLong();
    return yield* skip(length);
  }
  const bytes = yield length;
  if (signed < 0) clipboard.takeExtended(bytes);
  else clipboard.takeLatin1(bytes);
}
