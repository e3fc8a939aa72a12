import { parseArgs } from 'node:util';
import { setup } from '../testing/global.ts';
import { type LifeReport, runLife } from './life/run.ts';
import { type Report, runScenario, SCENARIOS, type Scenario } from './run.ts';
import type { World } from './world.ts';

const USAGE = `usage: npm run chaos -- --scenario ${SCENARIOS.join('|')}|life|all [--seed N] [--seeds N] [--submissions N] [--kills N]
  --seed N         the first seed (default 1): the same seed plans the same load and faults
  --seeds N        how many seeds, one after another (default 1)
  --submissions N  how many jobs, about (default 200)
  --kills N        how many times a worker gets SIGKILL or SIGTERM (default 3)
  --operations N   how many operations of the scenario life (default 300)
  --live-restore   desktops outlive the engine, in the scenario life
  --logs DIR       where to keep the logs of workers and edge, one folder for each run
  --verbose        also prints the history of each desktop that was started more than once`;

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: 'all' },
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    submissions: { type: 'string', default: '200' },
    kills: { type: 'string', default: '3' },
    operations: { type: 'string', default: '300' },
    'live-restore': { type: 'boolean', default: false },
    logs: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const scenarios = SCENARIOS.filter((name) => values.scenario === 'all' || values.scenario === name);
const withLife = values.scenario === 'all' || values.scenario === 'life';
const { seed, seeds, submissions, kills, operations } = values;
const bad = [seed, seeds, submissions, kills, operations].some(
  (value) => !Number.isSafeInteger(Number(value)) || Number(value) < 0,
);
if (values.help || (scenarios.length === 0 && !withLife) || bad) {
  process.stderr.write(`${USAGE}\n`);
  process.exit(values.help ? 0 : 2);
}

const print = (line: string) => process.stdout.write(`${new Date().toISOString().slice(11, 23)}  ${line}\n`);
const teardown = setup();
let world: World | undefined;
let ending: Promise<never> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    ending ??= end();
  });
}

const reports: Report[] = [];
const lives: LifeReport[] = [];
try {
  for (const scenario of scenarios) {
    for (let n = 0; n < Number(seeds); n++) reports.push(await one(scenario, Number(seed) + n));
  }
  for (let n = 0; withLife && n < Number(seeds); n++) lives.push(await oneLife(Number(seed) + n));
} catch (error) {
  // Stopping a world during its load makes the load fail: wait until the world is gone.
  await ending;
  throw error;
} finally {
  await teardown();
}
if (reports.length > 0) process.stdout.write(`\n${table(reports)}\n`);
if (lives.length > 0) process.stdout.write(`\n${lifeTable(lives)}\n`);
process.exit([...reports, ...lives].some(({ violations }) => violations.length > 0) ? 1 : 0);

async function end(): Promise<never> {
  await world?.stop();
  await teardown();
  process.exit(130);
}

async function one(scenario: Scenario, own: number): Promise<Report> {
  print(`scenario ${scenario}, seed ${own}, about ${submissions} submissions`);
  const report = await runScenario({
    scenario,
    seed: own,
    submissions: Number(submissions),
    kills: Number(kills),
    logs: values.logs,
    print: (line) => print(`  ${line}`),
    onWorld: (made) => {
      world = made;
    },
  });
  const { violations, explained, containers } = report;
  for (const [containerId, lives] of containers.again)
    print(`  started more than once: ${containerId}: ${lives}`);
  if (values.verbose) for (const lines of report.again) for (const line of lines) print(`    ${line}`);
  print(`  ${violations.length} violations, ${report.seconds} s`);
  for (const lines of explained) for (const line of lines) print(`    ${line}`);
  for (const { invariant, subject, detail } of violations.slice(explained.length)) {
    print(`    ${invariant}: ${subject} ${detail}`);
  }
  return report;
}

async function oneLife(own: number): Promise<LifeReport> {
  print(`scenario life, seed ${own}, ${operations} operations`);
  const report = await runLife({
    seed: own,
    operations: Number(operations),
    liveRestore: values['live-restore'],
    logs: values.logs,
    print: (line) => print(`  ${line}`),
    onWorld: (made) => {
      world = made;
    },
  });
  const { violations, explained } = report;
  print(`  ${violations.length} violations, ${report.seconds} s`);
  for (const lines of explained) for (const line of lines) print(`    ${line}`);
  for (const { invariant, subject, detail } of violations.slice(explained.length))
    print(`    ${invariant}: ${subject} ${detail}`);
  return report;
}

function lifeTable(all: LifeReport[]): string {
  const head = [
    'seed',
    'operations',
    'done',
    'desktops',
    'warm',
    'faults',
    'agreed ms',
    'searched',
    'violations',
    'seconds',
  ];
  const rows = all.map((report) =>
    [
      report.seed,
      report.operations,
      report.done,
      report.desktops,
      report.warm,
      report.injected.length,
      report.agreedMs ?? '-',
      report.searched,
      report.violations.length,
      report.seconds,
    ].map(String),
  );
  return columns([head, ...rows]);
}

function table(all: Report[]): string {
  const head = [
    'scenario',
    'seed',
    'asked',
    'acknowledged',
    'retried',
    'unknown',
    'jobs',
    'lost by Redis',
    'reconciled',
    'workers killed',
    'containers',
    'started again',
    'orphans',
    'webhooks',
    'alerts',
    'sent again',
    'watchers',
    'violations',
    'seconds',
  ];
  const rows = all.map((report) =>
    [
      report.scenario,
      report.seed,
      report.asked,
      report.acknowledged,
      report.retried,
      report.unknown,
      report.jobs,
      report.faults.lost,
      Object.entries(report.faults.reconciled.sums)
        .map(([what, count]) => `${what} ${count}`)
        .join(', ') || '-',
      report.faults.workersKilled,
      report.containers.started,
      report.containers.again.size,
      report.containers.orphans,
      report.received?.webhooks ?? '-',
      report.received?.alerts ?? '-',
      report.received?.redelivered ?? '-',
      report.received
        ? `${report.received.watchers}, cut ${report.received.interruptions}, snapshots ${report.received.snapshots}`
        : '-',
      report.violations.length,
      report.seconds,
    ].map(String),
  );
  return columns([head, ...rows]);
}

function columns(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}
