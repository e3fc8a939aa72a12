import type { z } from 'zod';

/**
 * A service can not start with its environment. The message names each variable that is missing or wrong, and
 * no value.
 */
export class EnvironmentError extends Error {
  override name = 'EnvironmentError';
}

/** An environment without the variables that are empty: they count as absent. */
export const givenVariables = <Value>(env: Readonly<Record<string, Value>>): Record<string, Value> =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));

/**
 * Reads a process's environment, or a Worker's bindings. An empty variable counts as absent.
 * @throws EnvironmentError with a line for each variable that is missing or wrong
 *
 * @example
 * const { PORT } = readEnv(z.object({ PORT: z.coerce.number().default(8080) }), process.env);
 */
export function readEnv<Schema extends z.ZodType>(
  schema: Schema,
  env: Readonly<Record<string, unknown>>,
): z.output<Schema> {
  const { success, data, error } = schema.safeParse(givenVariables(env));
  if (success) return data;
  const lines = error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`);
  throw new EnvironmentError(`the environment is wrong, correct it and start again\n${lines.join('\n')}`);
}
