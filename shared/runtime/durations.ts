const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/**
 * A wait in words for people, rounded up.
 *
 * @param ms milliseconds
 * @example
 * inWords(49_334); // '50 seconds'
 */
export function inWords(ms: number): string {
  if (ms < 2 * MINUTE) return counted(ms / SECOND, 'second');
  if (ms < 2 * HOUR) return counted(ms / MINUTE, 'minute');
  return counted(ms / HOUR, 'hour');
}

function counted(value: number, unit: string): string {
  const rounded = Math.max(1, Math.ceil(value));
  return `${rounded} ${unit}${rounded === 1 ? '' : 's'}`;
}
