import type { Issue } from '@warmwind/shared/contract/errors';

/** How JSON writes half a surrogate pair, and a whole one. */
const ESCAPED_SURROGATE = /\\u[dD][89a-fA-F]/;
const MOST_ISSUES = 20;
const MESSAGE = 'has half a surrogate pair, which is no character: send whole characters';

/**
 * Finds strings and names that are no Unicode text. Only an escape can make one, for the bytes are UTF-8.
 * @param json what `value` was parsed from
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
