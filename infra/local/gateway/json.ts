/** What the language has and the compiler's library does not describe yet. */
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
const parse = JSON.parse as (text: string, reviver: Reviver) => unknown;
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };

/**
 * Parses JSON whose numbers stay the text that they were: Redis takes text, and a double holds no integer beyond 2^53.
 *
 * @throws SyntaxError
 */
export const parseExact = (text: string): unknown =>
  parse(text, (_key, value, { source }) => (typeof value === 'number' ? source : value));

/** An integer as JSON writes it, however long. @param digits of a 64-bit integer */
export const exactInteger = (digits: string): unknown => {
  const number = Number(digits);
  return Number.isSafeInteger(number) ? number : rawJSON(digits);
};
