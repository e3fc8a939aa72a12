import { expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { type Report, runScenario, type Scenario } from './run.ts';

/** Runs each scenario once, in a short form; `npm run chaos` makes long runs. `CHAOS_SEED` sets the seed. */
const SEED = Number(process.env.CHAOS_SEED ?? 7);
const SUBMISSIONS = 40;

const run = async (scenario: Scenario, kills: number, submissions = SUBMISSIONS): Promise<Report> => {
  const output: string[] = [];
  const report = await runScenario({
    scenario,
    seed: SEED,
    submissions,
    kills,
    print: (line) => output.push(line),
  });
  const violated = report.violations.length > 0;
  if (violated) console.error([`seed ${SEED}`, ...output, ...report.explained.flat()].join('\n'));
  return report;
};

const RUN_WITHIN_MS = 300_000;

test('a Docker Engine is available', () => startEngine(), ENGINE_WITHIN_MS);

test(
  `after FLUSHALL every acknowledged submission takes effect exactly once (seed ${SEED})`,
  async () => {
    const { violations, faults } = await run('flush', 1);
    expect(faults.lost).toBeGreaterThan(0);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `after a failover that loses jobs every acknowledged submission takes effect exactly once (seed ${SEED})`,
  async () => {
    const { violations } = await run('failover', 0);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `while PostgreSQL is killed and frozen no acknowledged job is lost and none fails (seed ${SEED})`,
  async () => {
    const { violations } = await run('postgres', 1);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `after a failover without PostgreSQL every acknowledged submission takes effect exactly once (seed ${SEED})`,
  async () => {
    const { violations } = await run('both', 1);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `after kills of workers and both Redis every run ends once and is notified once (seed ${SEED})`,
  async () => {
    const { violations, received } = await run('jobs', 2, 150);
    expect(received?.watchers).toBeGreaterThan(50);
    expect(received?.webhooks).toBeGreaterThan(50);
    expect(received?.alerts).toBeGreaterThan(50);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);
