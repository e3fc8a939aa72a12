import type { Issue } from '@warmwind/shared/contract/errors';

/** How JSON escapes one half of a surrogate pair, and both halves. */
const ESCAPED_SURROGATE = /\\u[dD][89a-fA-F]/;
const MOST_ISSUES = 20;
const MESSAGE = 'has half a surrogate pair, which is not a character: send complete characters';

/**
 * Finds strings and names that are not Unicode text. Only an escape can cause one, because the bytes are
 * UTF-8.
 * @param json the text that `value` was parsed from
 */
export function malformedTexts(json: string, value: unknown): Issue[] {
  if (!ESCAPED_SURROGATE.test(json)) return [];
  const issues: Issue[] = [];
  const left: { path: string; value: unknown }[] = [{ path: '', value }];
  for (let at = left.pop(); at && issues.length < MOST_ISSUES; at = left.pop()) {
    const { path, value } = at;
    if (typeof value === 'string' && !value.isWellFormed()) issues.push({ path, message: MESSAGE });
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, inner] of Object.entries(value)) {
      const within = (path === '' ? name : `${path}.${name}`).toWellFormed();
      if (!name.isWellFormed()) issues.push({ path: within.slice(-64), message: MESSAGE });
      left.push({ path: within, value: inner });
    }
  }
  return issues;
}
