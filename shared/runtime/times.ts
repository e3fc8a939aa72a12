/** Converts milliseconds, as Redis keeps them, to ISO 8601. */
export const iso = (ms: string | number | undefined): string => new Date(Number(ms ?? 0)).toISOString();
