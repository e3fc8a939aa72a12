import { basename, join } from 'node:path';
import { ModelName } from '@warmwind/shared/contract/inference';
import { readEnv } from '@warmwind/shared/runtime/env';
import { z } from 'zod';

/** The bundled demonstration model. */
export const DESK_TINY = join(import.meta.dirname, 'models/desk-tiny-q8_0.gguf');

const count = (usual: number, most: number) => z.coerce.number().int().min(1).max(most).default(usual);

/** The model server's environment. */
export const Environment = z.object({
  BIND: z.string().default('127.0.0.1').describe('Address to listen on; no key is asked for.'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080).describe('Port to listen on.'),
  MODEL_PATH: z
    .string()
    .default(DESK_TINY)
    .meta({ description: 'A GGUF file.', usual: '`infra/local/model-server/models/desk-tiny-q8_0.gguf`' }),
  MODEL_ID: ModelName.optional().describe('Name of the model for clients; the name of its file if left out.'),
  MODEL_CONTEXT: count(4096, 1_048_576).describe(
    'Tokens of prompt and answer together; the bound of the model itself applies first.',
  ),
  MODEL_PARALLEL: count(2, 64).describe('Answers that are generated at the same time.'),
  MODEL_THREADS: count(1, 256).describe('Threads of llama.cpp.'),
  MODEL_QUEUE: count(128, 10_000).describe('Requests that may wait for their turn.'),
  MODEL_QUEUE_MS: count(60_000, 3_600_000).describe('How long a request may wait for its turn.'),
});

export type Config = z.infer<typeof Environment> & { MODEL_ID: string };

/** Reads the environment. @throws EnvironmentError */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const config = readEnv(Environment, env);
  return { ...config, MODEL_ID: config.MODEL_ID ?? nameOf(config.MODEL_PATH) };
}

/** The model's name by its file: `Some-Model` for `/models/Some Model.gguf`. */
function nameOf(path: string): string {
  if (path === DESK_TINY) return 'desk-tiny';
  const name = basename(path)
    .replace(/\.gguf$/i, '')
    .replace(/[^A-Za-z0-9._:/-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 128);
  return name || 'model';
}
