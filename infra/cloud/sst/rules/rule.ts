import type { Recorded } from '../record.ts';

/** A guarantee about the deployment, and its violations: one line each, none when it holds. */
export type Rule = { guarantee: string; violations: (deployed: Recorded) => string[] };

/** The violations of all rules, a line each. */
export const failing = (claims: Record<string, boolean>): string[] =>
  Object.entries(claims).flatMap(([claim, holds]) => (holds ? [] : [claim]));
