import { z } from 'zod';

/** Most characters of one text that is typed. */
export const MAX_TYPED_CHARS = 10_000;

const isWellFormed = (text: string): boolean => !/\p{Cs}/u.test(text);
/** Are all control characters line feeds, carriage returns and tabs? */
const hasOnlyBreaks = (text: string): boolean => !/[^\P{Cc}\n\r\t]/u.test(text);

/** The characters of a text, each a press of keys. A line break of Windows is one. */
export const charactersOf = (text: string): string[] => [...text.replaceAll('\r\n', '\n')];

/** A text that can be typed, of at most `most` characters. */
export const typedText = (most: number) =>
  z
    .string()
    .max(2 * most)
    .refine((text) => [...text].length <= most, `at most ${most} characters`)
    .refine(isWellFormed, 'must not contain half of a surrogate pair')
    .refine(hasOnlyBreaks, 'must not contain control characters but line breaks and tabs: press keys');

/** A text of an action. */
export const TypedText = typedText(MAX_TYPED_CHARS);
