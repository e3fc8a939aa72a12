import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { explain } from '../explain.ts';
import { playAll } from '../load.ts';
import { Random } from '../random.ts';
import { startWorld, type World } from '../world.ts';
import { checkEngine, checkViews, type Disagreement, type LifeRun, readRecords } from './agreement.ts';
import { LifeClient } from './client.ts';
import { LifeDesktop } from './desktop.ts';
import { type Injected, inject } from './faults.ts';
import { checkLeftovers } from './leftovers.ts';
import { checkDoubles, checkLeaks, checkOutcomes } from './outcomes.ts';
import { type LifePlan, type Operation, planLife } from './plan.ts';

/** Operations at the same time. */
const AT_ONCE = 5;
/** How long the system may take to agree after its load, ms, and how often it is looked at. */
const AGREES_WITHIN_MS = 100_000;
const LOOK_EVERY_MS = 1000;
const MAX_EXPLAINED = 6;
/** Instances that each host keeps ready. */
const POOLED = 2;
/** Operations for each fault, on average. */
const PER_FAULT = 25;

export type LifeOptions = {
  seed: number;
  operations: number;
  liveRestore: boolean;
  print: (line: string) => void;
  /** A folder for the logs of the services. */
  logs?: string | undefined;
  onWorld?: (world: World) => void;
};

export type LifeReport = {
  seed: number;
  operations: number;
  done: number;
  desktops: number;
  warm: number;
  injected: Injected[];
  /** How long the system took to agree after the last operation, ms; undefined when it did not in time. */
  agreedMs: number | undefined;
  /** Desktops and pooled instances that were searched for canaries at the end. */
  searched: number;
  violations: Disagreement[];
  explained: string[][];
  seconds: number;
};

/** Runs the scenario `life` once, in a world with an engine of its own. */
export async function runLife(options: LifeOptions): Promise<LifeReport> {
  const { seed, operations, liveRestore, print } = options;
  const since = Date.now();
  const plan = planLife(new Random(seed), {
    operations,
    faults: Math.ceil(operations / PER_FAULT),
    liveRestore,
  });
  const world = await startWorld({
    seed,
    watched: false,
    ownEngine: { liveRestore },
    pooled: POOLED,
  });
  options.onWorld?.(world);
  print(`the system is up (fleet ${world.fleet}), ${plan.faults.length} faults are planned`);
  try {
    const run = { ...(await play(world, plan, print)), liveRestore };
    const agreed = await untilAgreed(run);
    const violations = agreed.violations;
    const report = reporter(violations);
    const recorded = await readRecords(run);
    const free = await checkEngine(run, recorded, () => undefined);
    const searched = await checkLeaks(run, recorded, free, report);
    checkOutcomes(run, recorded, report);
    await checkDoubles(run, report);
    for (const { name, crashes } of [world.gateway, world.relay, ...world.workers])
      for (const crash of crashes) report('no service crashes', name, crash);
    const explained: string[][] = [];
    for (const violation of violations.slice(0, MAX_EXPLAINED))
      explained.push(await explain(world, violation));
    const results = run.desktops.flatMap((desktop) => desktop.results);
    return {
      seed,
      operations: results.length,
      done: results.filter(({ done }) => done).length,
      desktops: run.desktops.length,
      warm: run.desktops.filter(({ warm }) => warm).length,
      injected: run.injected,
      agreedMs: agreed.ms,
      searched,
      violations,
      explained,
      seconds: Math.round((Date.now() - since) / 1000),
    };
  } finally {
    if (options.logs) await keepLogs(world, join(options.logs, `life-${seed}`));
    await world.stop();
  }
}

const reporter =
  (violations: Disagreement[]) =>
  (invariant: string, subject: string, detail: string): void => {
    violations.push({ invariant, subject, detail });
  };

/** Carries out the plan: operations in order, some at the same time, and one fault at a time meanwhile. */
async function play(
  world: World,
  plan: LifePlan,
  print: (line: string) => void,
): Promise<Omit<LifeRun, 'liveRestore'>> {
  const clients = new Map<string, LifeClient>();
  const desktops = new Map<number, LifeDesktop>();
  const injected: Injected[] = [];
  let faults: Promise<void> = Promise.resolve();
  const desktopOf = ({ container, user }: Operation): LifeDesktop => {
    const client = clients.get(user) ?? new LifeClient(world.url, user);
    clients.set(user, client);
    const desktop = desktops.get(container) ?? new LifeDesktop(container, client);
    desktops.set(container, desktop);
    return desktop;
  };
  await playAll(plan.operations, AT_ONCE, async (operation) => {
    for (const fault of plan.faults.filter(({ at }) => at === operation.index)) {
      faults = faults.then(async () => {
        print(`operation ${operation.index}: ${fault.kind}`);
        injected.push(await inject(world, fault));
      });
      faults.catch(() => undefined);
    }
    await desktopOf(operation).run(operation, new Random(operation.seed));
  });
  await faults;
  return { world, clients, desktops: [...desktops.values()], injected, pooled: POOLED };
}

/** Looks until registry, ledger, engine and users agree. @returns the last disagreements when they do not in time */
async function untilAgreed(run: LifeRun): Promise<{ ms: number | undefined; violations: Disagreement[] }> {
  const since = Date.now();
  for (;;) {
    const violations: Disagreement[] = [];
    const report = reporter(violations);
    const recorded = await readRecords(run);
    await checkViews(run, recorded, report);
    await checkEngine(run, recorded, report);
    await checkLeftovers(run, recorded, report);
    const ms = Date.now() - since;
    if (violations.length === 0) return { ms, violations };
    if (ms > AGREES_WITHIN_MS) return { ms: undefined, violations };
    await sleep(LOOK_EVERY_MS);
  }
}

async function keepLogs({ workers, edgeLines, engine }: World, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'engine.log'), (engine?.lines ?? []).join(''));
  await writeFile(join(folder, 'edge.log'), `${edgeLines.join('\n')}\n`);
  for (const { name, lines } of workers)
    await writeFile(join(folder, `${name}.log`), `${lines.join('\n')}\n`);
}
