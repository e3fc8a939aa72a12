/** Functions of the language that the compiler's library does not declare yet. */
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;
const parse = JSON.parse as (text: string, reviver: Reviver) => unknown;
const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };

/**
 * Parses JSON and keeps its numbers as text: Redis takes text, and a double holds no integer beyond 2^53.
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
