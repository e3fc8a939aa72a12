import type { Recorded } from '../record.ts';

/** A guarantee about what is deployed, and who breaks it: one line each, none when it holds. */
export type Rule = { guarantee: string; violations: (deployed: Recorded) => string[] };

/** The lines of whatever does not hold. */
export const failing = (claims: Record<string, boolean>): string[] =>
  Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [claim]));
