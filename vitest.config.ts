import { defineConfig } from 'vitest/config';

/** Tests that take minutes: by the mode that runs them, `vitest run --mode sst`. */
const SLOW: Record<string, string[]> = {
  sst: ['infra/cloud/sst/*.slow.ts'],
  desktops: ['{relay,workers,infra/quality}/**/*.slow.ts'],
  images: ['infra/images/*.slow.ts', 'infra/self-host/*.slow.ts'],
};

export default defineConfig(({ mode }) => ({
  test: {
    include: SLOW[mode] ?? ['{shared,edge,workers,relay,infra}/**/*.test.ts'],
    globalSetup: ['infra/quality/testing/global.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: mode in SLOW ? 120_000 : 30_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      reporter: ['text-summary'],
      reportOnFailure: true,
      include: ['{shared,edge,workers,relay}/**/*.{ts,tsx}'],
      exclude: ['**/*.test.ts', '**/*.d.ts', '**/testing/**'],
    },
  },
}));
