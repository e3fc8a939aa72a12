import { expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { type Report, runScenario, type Scenario } from './run.ts';

/** One short run of each scenario; `npm run chaos` makes long ones. `CHAOS_SEED` plans another. */
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
  const violate = report.violations.length > 0;
  if (violate) console.error([`seed ${SEED}`, ...output, ...report.explained.flat()].join('\n'));
  return report;
};

const RUN_WITHIN_MS = 300_000;

test('there is an engine', () => startEngine(), ENGINE_WITHIN_MS);

test(
  `Redis forgets everything: what was acknowledged happens, once (seed ${SEED})`,
  async () => {
    const { violations, faults } = await run('flush', 1);
    expect(faults.lost).toBeGreaterThan(0);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `a failover loses acknowledged jobs from Redis: they happen, once (seed ${SEED})`,
  async () => {
    const { violations } = await run('failover', 0);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `PostgreSQL is killed and frozen: nothing acknowledged is lost, nothing fails (seed ${SEED})`,
  async () => {
    const { violations } = await run('postgres', 1);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `a failover and PostgreSQL killed at once: what was acknowledged happens, once (seed ${SEED})`,
  async () => {
    const { violations } = await run('both', 1);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);

test(
  `workers and both Redis are killed: every job ends, once, and whoever should know is told once (seed ${SEED})`,
  async () => {
    const { violations, received } = await run('jobs', 2, 150);
    expect(received?.watchers).toBeGreaterThan(50);
    expect(received?.webhooks).toBeGreaterThan(50);
    expect(received?.alerts).toBeGreaterThan(50);
    expect(violations).toEqual([]);
  },
  RUN_WITHIN_MS,
);
