import { dataRules } from './data.ts';
import { edgeRules } from './edge.ts';
import { hostRules } from './hosts.ts';
import { networkRules } from './network.ts';
import type { Rule } from './rule.ts';
import { secretRules } from './secrets.ts';
import { serviceRules } from './services.ts';
import { settingRules } from './settings.ts';

/** The guarantees of every stage. */
export const RULES: Rule[] = [
  ...networkRules,
  ...dataRules,
  ...secretRules,
  ...serviceRules,
  ...hostRules,
  ...edgeRules,
  ...settingRules,
];
