import { basename, join } from 'node:path';
import { readEnv } from '@warmwind/shared/env';
import { ModelName } from '@warmwind/shared/inference';
import { z } from 'zod';

/** The demonstration model that comes along. */
export const DESK_TINY = join(import.meta.dirname, 'models/desk-tiny-q8_0.gguf');

const count = (usual: number, most: number) => z.coerce.number().int().min(1).max(most).default(usual);

/** The model server's environment. */
const Environment = z.object({
  BIND: z.string().default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  /** A GGUF file. */
  MODEL_PATH: z.string().default(DESK_TINY),
  /** What clients call it; without one the file's name says it. */
  MODEL_ID: ModelName.optional(),
  /** Tokens of prompt and answer together, at most; the model's own bound goes first. */
  MODEL_CONTEXT: count(4096, 1_048_576),
  /** Answers that are generated at the same time. */
  MODEL_PARALLEL: count(2, 64),
  MODEL_THREADS: count(1, 256),
  /** Requests that may wait for their turn, and how long, ms. */
  MODEL_QUEUE: count(128, 10_000),
  MODEL_QUEUE_MS: count(60_000, 3_600_000),
});

export type Config = z.infer<typeof Environment> & { MODEL_ID: string };

/** Reads the environment. @throws EnvironmentError */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const config = readEnv(Environment, env);
  return { ...config, MODEL_ID: config.MODEL_ID ?? nameOf(config.MODEL_PATH) };
}

/** `/models/Some Model.gguf` → `Some-Model`. */
function nameOf(path: string): string {
  if (path === DESK_TINY) return 'desk-tiny';
  const name = basename(path)
    .replace(/\.gguf$/i, '')
    .replace(/[^A-Za-z0-9._:/-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 128);
  return name || 'model';
}
