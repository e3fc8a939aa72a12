import { expect, test } from 'vitest';
import { runLife } from './life/run.ts';

/** A short run of the scenario `life`; `npm run chaos` makes long ones. `CHAOS_SEED` sets the seed. */
const SEED = Number(process.env.CHAOS_SEED ?? 7);
const RUN_WITHIN_MS = 600_000;

test(
  `after kills of workers, engine and both Redis registry, ledger, engine and users agree (seed ${SEED})`,
  async () => {
    const output: string[] = [];
    const print = (line: string) => output.push(line);
    const report = await runLife({ seed: SEED, operations: 75, liveRestore: false, print });
    if (report.violations.length > 0)
      console.error([`seed ${SEED}`, ...output, ...report.explained.flat()].join('\n'));
    expect(report.violations).toEqual([]);
    expect(report.searched).toBeGreaterThan(2);
    expect(report.warm).toBeGreaterThan(0);
  },
  RUN_WITHIN_MS,
);
