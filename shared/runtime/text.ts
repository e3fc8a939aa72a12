/** The first of the two UTF-16 units of a character beyond the basic plane, at the end of a text. */
const ENDS_WITHIN = /[\uD800-\uDBFF]$/;

/** Does a text end with the first half of a character? */
export const endsWithinCharacter = (text: string): boolean => ENDS_WITHIN.test(text.slice(-1));

/**
 * Truncates a text, without half a character at its end.
 * @param most the greatest length of the result, UTF-16 units
 */
export function truncateText(text: string, most: number): string {
  if (text.length <= most) return text;
  const truncated = text.slice(0, most);
  return endsWithinCharacter(truncated) ? truncated.slice(0, -1) : truncated;
}
