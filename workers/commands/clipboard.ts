import { ApiError } from '@warmwind/shared/contract/errors';
import { MAX_CLIPBOARD_CHARS } from '@warmwind/shared/contract/screen';
import type { CallHandlers } from '../calls/call.ts';
import { holdSelection, readSelection } from '../clipboard/selection.ts';
import { asApiError } from '../supervisor/api-error.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';

/** UTF-8 takes up to three bytes for one UTF-16 code unit. */
const MAX_BYTES = MAX_CLIPBOARD_CHARS * 3;

/** Creates the handler of `container.read-clipboard`. */
export const createReadClipboard =
  (supervisors: Pick<Supervisors, 'of'>): CallHandlers['container.read-clipboard'] =>
  async ({ containerId, signal }) => {
    const read = async () => readSelection(supervisors.of(containerId), MAX_BYTES, signal);
    const selection = await read().catch(asApiError);
    if (selection === 'no_answer') {
      throw new ApiError('unavailable', 'The program that holds the clipboard does not answer. Copy again.');
    }
    const text = selection === 'too_long' ? undefined : textOf(selection.bytes);
    if (text === undefined || text.length > MAX_CLIPBOARD_CHARS) {
      throw new ApiError(
        'conflict',
        `The clipboard has more than ${MAX_CLIPBOARD_CHARS} characters. Copy less, or save it as a file and read that.`,
      );
    }
    return { text };
  };

/** Creates the handler of `container.write-clipboard`. */
export const createWriteClipboard =
  (supervisors: Pick<Supervisors, 'of'>): CallHandlers['container.write-clipboard'] =>
  async ({ containerId, input, signal }) => {
    const bytes = Buffer.from(input.text);
    const hold = async () => holdSelection(supervisors.of(containerId), bytes, signal);
    if (await hold().catch(asApiError)) return { bytes: bytes.length };
    throw new ApiError('unavailable', 'The desktop did not take the text. Retry, or start a new desktop.');
  };

/** Reads UTF-8, or Latin-1, which X11 programs without UTF-8 offer. */
function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}
