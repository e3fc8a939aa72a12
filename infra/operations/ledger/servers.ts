import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { CommandRefusedError } from './command.ts';

const VARIABLES = {
  ledger: 'LEDGER_URL',
  queue: 'REDIS_QUEUE_URL',
  realtime: 'REDIS_REALTIME_URL',
} as const;
type Server = keyof typeof VARIABLES;

const ROOT = resolve(import.meta.dirname, '../../..');
const Stack = z.object({
  ledger: z.object({ url: z.string() }).optional(),
  redis: z.object({ queue: z.string(), realtime: z.string() }),
});

/**
 * Finds the servers of a command: those of the environment, else those of the `npm start` that runs here
 * (`stack.json`). It never mixes servers of two systems.
 */
export function findServers<S extends Server>(
  names: readonly S[],
  env: NodeJS.ProcessEnv = process.env,
): Record<S, string> {
  const given = (name: Server) => env[VARIABLES[name]] || undefined;
  const missing = names.filter((name) => !given(name));
  const stack = missing.length > 0 ? readStack(env) : undefined;
  const urls = names.map((name) => {
    const url = given(name) ?? stack?.[name];
    if (!url)
      throw new CommandRefusedError(`Set ${variables(missing)}, or run this where \`npm start\` runs.`);
    if (stack && url !== stack[name]) {
      throw new CommandRefusedError(
        `${VARIABLES[name]} is not that of the \`npm start\` which runs here: set ${variables(missing)} too.`,
      );
    }
    return [name, url] as const;
  });
  return Object.fromEntries(urls) as Record<S, string>;
}

const variables = (names: readonly Server[]) => names.map((name) => VARIABLES[name]).join(' and ');

function readStack(env: NodeJS.ProcessEnv): Record<Server, string | undefined> | undefined {
  const file = join(env.WARMWIND_DIR || join(ROOT, '.warmwind'), 'stack.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const { ledger, redis } = Stack.parse(JSON.parse(text));
  return { ledger: ledger?.url, ...redis };
}
