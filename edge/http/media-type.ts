import { ApiError } from '@warmwind/shared/contract/errors';

/** Charsets whose bytes are UTF-8. */
const UTF8 = ['utf-8', 'utf8', 'us-ascii'];
/** A parameter: its name, and its value, which may be quoted. */
const PARAMETER = /;[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;\s]*)/g;

/**
 * Checks that a body of this `Content-Type` is JSON as UTF-8: in any letter case, with optional white space,
 * and with empty, quoted or unknown parameters.
 * @throws ApiError `unsupported_media_type`
 */
export function checkJson(headers: Headers): void {
  const type = headers.get('Content-Type') ?? '';
  if (type.split(';', 1)[0]?.trim().toLowerCase() !== 'application/json') {
    throw unsupported('Send the body as JSON with Content-Type: application/json.');
  }
  const parameters = [...type.matchAll(PARAMETER)];
  const [, , value = ''] = parameters.find(([, name]) => name?.toLowerCase() === 'charset') ?? [];
  const charset = unquote(value).toLowerCase();
  if (charset !== '' && !UTF8.includes(charset)) {
    throw unsupported('Send the body as UTF-8, and no other charset in Content-Type.');
  }
  const coding = (headers.get('Content-Encoding') ?? '').trim().toLowerCase();
  if (coding !== '' && coding !== 'identity') {
    throw unsupported('Send the body as it is, without Content-Encoding.');
  }
}

/** Unquotes a quoted string (RFC 9110, 5.6.4); returns any other text unchanged. */
export const unquote = (text: string): string =>
  /^".*"$/s.test(text) ? text.slice(1, -1).replaceAll(/\\(.)/g, '$1') : text;

const unsupported = (message: string) => new ApiError('unsupported_media_type', message);
