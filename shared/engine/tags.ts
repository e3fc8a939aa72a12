import { isUserId } from '../contract/ids.ts';
import { hostQueue, QUEUES } from './queues.ts';

/** Hash tags of keys that belong to the fleet. No user gets a tag of this list. */
const FLEET_TAGS = ['cancellations', 'hosts', 'ledger', 'models', 'observer', 'unpublished'] as const;
export type FleetTag = (typeof FLEET_TAGS)[number];

/** Kinds of tags with a name after a colon: `host:<name>`. No user's tag has a colon. */
export type TagKind = 'address' | 'container' | 'host' | 'process' | 'screen' | 'session';

const RESERVED: ReadonlySet<string> = new Set([...FLEET_TAGS, ...QUEUES]);
const isReserved = (name: string): boolean => RESERVED.has(name) || name.startsWith(hostQueue(''));

/** A character as its bytes in UTF-8, `%3A`. */
const escaped = (character: string): string =>
  Array.from(
    new TextEncoder().encode(character),
    (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');

/**
 * Escapes a text within a tag: letters, digits and `_.@|-` stay, all else is percent-encoded, so that braces
 * and colons have no meaning.
 */
export const escapeTag = (text: string): string => text.replace(/[^A-Za-z0-9_.@|-]/gu, escaped);

/**
 * The hash tag of all that belongs to a user: the user's id, escaped. For a user with the name of a queue or
 * of one of the fleet's own tags, the first character is escaped as well.
 *
 * @example
 * userTag('auth0|42'); // auth0|42
 * userTag('host:worker-1'); // host%3Aworker-1
 * userTag('models'); // %6Dodels
 */
export function userTag(user: string): string {
  const tag = escapeTag(user);
  return isReserved(tag) ? escaped(tag.charAt(0)) + tag.slice(1) : tag;
}

/** The user of a tag; `undefined` for a tag that is no user's. */
export function userOfTag(tag: string): string | undefined {
  let user: string;
  try {
    user = decodeURIComponent(tag);
  } catch {
    return undefined;
  }
  return isUserId(user) && userTag(user) === tag ? user : undefined;
}
