import { Connection } from '../screen/rfb/connection.ts';
import { type Parser, ProtocolError } from '../screen/rfb/feed.ts';
import { resizeEncodings, type Size, setDesktopSize, updateRequest } from '../screen/rfb/messages.ts';
import { DONE, serverMessages } from '../screen/rfb/server.ts';
import type { Update } from '../screen/rfb/update.ts';
import type { Turn } from '../screen/turns.ts';

/** Time limit of a change of size, ms. */
const RESIZE_MS = 3000;
/** A connection of a few bytes takes no turn. */
const FREE_TURN: Turn = { take: () => undefined, spent: () => undefined, sent: () => 0 };
/** The pixel that is requested so that the desktop answers with its layout. */
const PIXEL: Size = { width: 1, height: 1 };

/**
 * Gives a desktop's screen a size. It resolves when the screen has it, so that every later picture has it too.
 * @param socketPath of its RFB server
 * @throws ProtocolError when the desktop refuses, misbehaves or does not answer in time
 */
export async function resizeScreen(socketPath: string, wanted: Size, signal: AbortSignal): Promise<void> {
  const connection = await Connection.open(socketPath);
  const timed = AbortSignal.any([signal, AbortSignal.timeout(RESIZE_MS)]);
  await connection.run((size) => resize(connection, size, wanted), timed, FREE_TURN);
}

function* resize(connection: Connection, initial: Size, wanted: Size): Parser<void> {
  let size = initial;
  let asked = false;
  const hasSize = () => size.width === wanted.width && size.height === wanted.height;
  if (hasSize()) return;
  const update = (next: Update): typeof DONE | undefined => {
    size = next.size ?? size;
    if (hasSize()) return DONE;
    if (next.screenId !== undefined) {
      if (asked) throw new ProtocolError(`the desktop refused ${wanted.width} × ${wanted.height} pixels`);
      asked = true;
      connection.send(setDesktopSize(wanted, next.screenId));
    }
    connection.send(updateRequest(PIXEL, true));
    return undefined;
  };
  connection.send(resizeEncodings());
  connection.send(updateRequest(PIXEL, false));
  yield* serverMessages(initial, { take: () => undefined, update, clipboard: undefined });
}
