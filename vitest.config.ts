import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{shared,edge,workers,relay,infra}/**/*.test.ts'],
    globalSetup: ['infra/testing/global.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
