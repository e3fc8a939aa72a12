import type { LlamaContextSequence } from 'node-llama-cpp';
import type { Model } from './model.ts';
import type { Pool } from './pool.ts';

/** A model with the places that its requests share. */
export type Loaded = { model: Model; pool: Pool<LlamaContextSequence> };
