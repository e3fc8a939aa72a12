import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DesktopLoad } from './desktops.ts';
import { explain } from './explain.ts';
import { type Faults, inflict, SCENARIOS, type Scenario } from './faults.ts';
import { checkInvariants, untilQuiet, type Verdict } from './invariants.ts';
import { JobLoad } from './jobs.ts';
import type { Load } from './load.ts';
import { Random } from './random.ts';
import { startWorld, type World } from './world.ts';

export { SCENARIOS, type Scenario };

const MAX_EXPLAINED = 10;
/** How many acknowledged submissions are repeated after the load. */
const REPEATED = 100;
const PROGRESS_EVERY_MS = 5000;

export type RunOptions = {
  scenario: Scenario;
  seed: number;
  submissions: number;
  /** How many times a worker gets SIGKILL or SIGTERM. */
  kills: number;
  print: (line: string) => void;
  /** A folder for the logs of the services. */
  logs?: string | undefined;
  /** Called with the world once it is up, so that the caller can stop it. */
  onWorld?: (world: World) => void;
};

export type Report = Verdict & {
  scenario: Scenario;
  seed: number;
  asked: number;
  acknowledged: number;
  unknown: number;
  /** Submissions that were sent again, as the answer was "unknown". */
  retried: number;
  faults: Faults;
  /** The explanations of the first violations. */
  explained: string[][];
  /** The histories of desktops that were started more than once. */
  again: string[][];
  seconds: number;
};

/** Runs one scenario once, in a world of its own. */
export async function runScenario(options: RunOptions): Promise<Report> {
  const { scenario, seed, submissions, kills, print: report } = options;
  const since = Date.now();
  const world = await startWorld({ seed, watched: scenario === 'failover' || scenario === 'both' });
  options.onWorld?.(world);
  const random = new Random(seed);
  const load: Load =
    scenario === 'jobs'
      ? new JobLoad(world.url, random, submissions, world.receiver.url)
      : new DesktopLoad(world.url, random, submissions);
  report(`the system is up (fleet ${world.fleet})`);
  const progress = setInterval(() => report(progressOf(load)), PROGRESS_EVERY_MS);
  try {
    const [faults] = await Promise.all([
      inflict(scenario, kills, { world, load, random, report }),
      load.run(),
    ]);
    report(progressOf(load));
    clearInterval(progress);
    const quietMs = await untilQuiet(world, load);
    await load.repeat(random, REPEATED);
    await untilQuiet(world, load);
    report(
      quietMs === undefined
        ? 'work was left after the time-out'
        : `all work was done ${quietMs} ms after the load`,
    );
    const verdict = await checkInvariants(world, load, faults.roomsSince, quietMs);
    for (const worker of world.workers) await faults.reconciled.take(worker);
    const explained: string[][] = [];
    for (const violation of verdict.violations.slice(0, MAX_EXPLAINED)) {
      explained.push(await explain(world, violation));
    }
    const again: string[][] = [];
    for (const [subject, detail] of [...verdict.containers.again].slice(0, MAX_EXPLAINED)) {
      again.push(await explain(world, { invariant: 'started again', subject, detail }));
    }
    return {
      ...verdict,
      scenario,
      seed,
      asked: load.asks.length,
      acknowledged: load.acknowledged.length,
      unknown: load.asks.filter(({ outcome }) => outcome === 'unknown').length,
      retried: load.asks.filter(({ unknowns }) => unknowns > 0).length,
      faults,
      explained,
      again,
      seconds: Math.round((Date.now() - since) / 1000),
    };
  } finally {
    clearInterval(progress);
    if (options.logs) await keepLogs(world, join(options.logs, `${scenario}-${seed}`));
    await world.stop();
  }
}

const progressOf = (load: Load): string =>
  `${load.asks.length} of about ${load.submissions} submitted, ${load.acknowledged.length} acknowledged`;

async function keepLogs({ workers, edgeLines }: World, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'edge.log'), `${edgeLines.join('\n')}\n`);
  for (const { name, lines } of workers)
    await writeFile(join(folder, `${name}.log`), `${lines.join('\n')}\n`);
}
