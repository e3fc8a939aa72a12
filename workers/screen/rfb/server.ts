import { type Clipboard, MAX_CLIPBOARD_BYTES } from './clipboard.ts';
import { type Parser, ProtocolError, skip } from './feed.ts';
import type { Size } from './messages.ts';
import { TightStreams } from './tight.ts';
import { type Rect, readUpdate, type Update } from './update.ts';

const UPDATE = 0;
const BELL = 2;
const CUT_TEXT = 3;
/** A longer clipboard than this is no clipboard. */
const MAX_SKIPPED = 16 * 2 ** 20;

/** Nothing more has to be read. */
export const DONE = Symbol('done');

export type ServerHandler = {
  take: (rect: Rect) => void;
  /** An update is over. What it answers is waited for before more is read. */
  update: (update: Update) => Promise<unknown> | undefined | typeof DONE;
  /** `undefined`: it is of no interest. */
  clipboard: Clipboard | undefined;
};

/** All that a server says after the handshake, until the handler has enough. */
export function* serverMessages(initial: Size, on: ServerHandler): Parser<void> {
  const streams = new TightStreams();
  let screen = initial;
  for (;;) {
    const type = (yield 1).readUInt8();
    if (type === UPDATE) {
      const update = yield* readUpdate(screen, streams, on.take);
      screen = update.size ?? screen;
      const answer = on.update(update);
      if (answer === DONE) return;
      if (answer) yield answer;
    } else if (type === CUT_TEXT) {
      yield* readCutText(on.clipboard);
    } else if (type !== BELL) {
      throw new ProtocolError(`message ${type} was not asked for`);
    }
  }
}

/** A negative length says that the message is of the extended form. */
function* readCutText(clipboard: Clipboard | undefined): Parser<void> {
  const signed = (yield 7).readInt32BE(3);
  const length = Math.abs(signed);
  if (length > MAX_SKIPPED) throw new ProtocolError('a clipboard that is too long');
  if (!clipboard || length > MAX_CLIPBOARD_BYTES) {
    clipboard?.tooLong();
    return yield* skip(length);
  }
  const bytes = yield length;
  if (signed < 0) clipboard.takeExtended(bytes);
  else clipboard.takeLatin1(bytes);
}
