import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

/** `npm run test:sst`: what is too slow for every `npm test`. */
export default defineConfig({
  test: {
    root: resolve(import.meta.dirname, '../..'),
    include: ['infra/sst/*.slow.ts'],
    globalSetup: ['infra/testing/global.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
