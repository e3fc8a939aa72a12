import { z } from 'zod';

/**
 * The placeholders of secrets in example files: `replace-me…`, `change-me…`, `<at least 32 characters>`. They
 * are public, so they are no secrets, however long.
 */
const PLACEHOLDER = /^\s*(?:(?:replace|change)[-_ ]?(?:me|this)\b.*|<.*>|your[-_ ].*|\.\.\.|…)\s*$/i;

export const isPlaceholder = (value: string): boolean => PLACEHOLDER.test(value);

/** The error message for a placeholder, after the name of its variable. */
export const PLACEHOLDER_REMEDY =
  'this is the placeholder of an example: set a secret of your own, `openssl rand -hex 32` makes one';

/** A secret of at least `min` characters that is no placeholder. */
export const secretText = (min: number) =>
  z
    .string()
    .min(min, `use at least ${min} characters`)
    .refine((value) => !isPlaceholder(value), PLACEHOLDER_REMEDY)
    .meta({ secret: true });

/** Is the password of a URL, if it has one, other than a placeholder? */
export function hasOwnPassword(url: string): boolean {
  const [, password = ''] = /^[^/]*:\/\/[^:/@]*:([^@/]*)@/.exec(url) ?? [];
  return !isPlaceholder(decoded(password));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
