import { z } from 'zod';

/** Matches every origin. */
const ANY = '*';

/**
 * Normalizes an origin as a browser writes it: without a path, its host in lower case.
 * @returns `undefined` when it is no origin of a web page
 */
function originOf(text: string): string | undefined {
  if (text === ANY) return ANY;
  if (!/^https?:\/\/[^/?#@*\\\s]+\/?$/i.test(text) || !URL.canParse(text)) return undefined;
  return new URL(text).origin;
}

/** `CORS_ORIGINS`: origins of pages, comma-separated, that may call the edge and connect to the relay. */
export const Origins = z.string().transform((text, context) => {
  const given = text.split(',').flatMap((part) => part.trim() || []);
  const origins = given.flatMap((part) => originOf(part) ?? []);
  if (origins.length === given.length) return origins;
  context.addIssue('write origins as https://host or https://host:port with commas between them, or *');
  return z.NEVER;
});

/** Adds the other local name, `localhost` or `127.0.0.1`, of each local origin: both name the same server. */
export const withLocalNames = (origins: readonly string[]): string[] =>
  origins.flatMap((origin) => [
    origin,
    ...(/^http:\/\/127\.0\.0\.1(:|$)/.test(origin) ? [origin.replace('127.0.0.1', 'localhost')] : []),
    ...(/^http:\/\/localhost(:|$)/.test(origin) ? [origin.replace('localhost', '127.0.0.1')] : []),
  ]);

/** May a page of this origin call? */
export const isAllowedOrigin = (origin: string, origins: readonly string[]): boolean =>
  origins.includes(ANY) || origins.includes(origin);
