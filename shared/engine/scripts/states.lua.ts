import { ENDED_CONTAINER_STATES } from '../../contract/containers.ts';
import { TERMINAL_JOB_STATES, UNSUCCESSFUL_JOB_STATES } from '../../contract/jobs.ts';

const oneOf = (name: string, states: readonly string[]): string =>
  `local function ${name}(state) return ${states.map((state) => `state == '${state}'`).join(' or ')} end\n`;

/**
 * Part of scripts that read states: the lists of `shared/contract/jobs.ts` and
 * `shared/contract/containers.ts` as Lua functions.
 */
export const statesLua = [
  oneOf('is_terminal', TERMINAL_JOB_STATES),
  oneOf('is_unsuccessful', UNSUCCESSFUL_JOB_STATES),
  oneOf('has_ended', ENDED_CONTAINER_STATES),
].join('');
