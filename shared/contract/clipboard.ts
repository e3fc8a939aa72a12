import { z } from 'zod';
import { MAX_CLIPBOARD_CHARS } from './screen.ts';

/** The longest text that a call puts on a clipboard, bytes as UTF-8. */
export const MAX_CLIPBOARD_WRITE_BYTES = 64 * 1024;

/** A text that a call puts on the clipboard of a container. */
export const ClipboardWrite = z
  .strictObject({
    text: z
      .string()
      .max(MAX_CLIPBOARD_WRITE_BYTES, 'at most 64 KB as UTF-8')
      .refine(
        (text) => new TextEncoder().encode(text).byteLength <= MAX_CLIPBOARD_WRITE_BYTES,
        'at most 64 KB as UTF-8',
      )
      .refine((text) => !text.includes('\0'), 'must not contain NUL')
      .describe('The text, at most 64 KB as UTF-8; an empty one is permitted.'),
  })
  .meta({ id: 'ClipboardWrite' });

/** The text on the clipboard of a container. */
export const ClipboardText = z
  .object({
    text: z
      .string()
      .max(MAX_CLIPBOARD_CHARS)
      .describe('The text; empty when the clipboard is empty or holds no text, such as a picture.'),
  })
  .meta({ id: 'ClipboardText' });

/** The answer to a text that was put on the clipboard. */
export const ClipboardWritten = z
  .object({ bytes: z.number().int().min(0).describe('Length of the text as UTF-8.') })
  .meta({ id: 'ClipboardWritten' });
