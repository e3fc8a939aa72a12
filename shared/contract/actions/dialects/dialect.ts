import { Action } from '../action.ts';
import { ANTHROPIC } from './anthropic.ts';
import { GEMINI } from './gemini.ts';
import { OPENAI } from './openai.ts';
import type { Dialect } from './vocabulary.ts';

export const DIALECT_NAMES = ['warmwind', 'openai', 'anthropic', 'gemini'] as const;
export type DialectName = (typeof DIALECT_NAMES)[number];

const WARMWIND: Dialect<Action> = { schema: Action, space: 'screen', map: (action) => [action] };

/** The vocabularies that actions may be written in. */
export const DIALECTS: Record<DialectName, Dialect> = {
  warmwind: WARMWIND as Dialect,
  openai: OPENAI as Dialect,
  anthropic: ANTHROPIC as Dialect,
  gemini: GEMINI as Dialect,
};

/** The type of an action as its vocabulary spells it, for messages; the empty text when it has none. */
export function typeOf(action: object): string {
  const { type, action: verb, name, input } = action as Record<string, unknown>;
  const inner = (input as { action?: unknown } | undefined)?.action;
  return ([inner, verb, name, type].find((word) => typeof word === 'string') as string | undefined) ?? '';
}
