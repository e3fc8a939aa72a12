import { loadavg } from 'node:os';
import { releaseEngine } from '../../../local/engine/engine.ts';
import { type Figure, report } from '../report.ts';
import { type Desktop, type Program, startDesktop } from './desktop.ts';
import { type Cost, measure, perUpdate } from './measure.ts';
import { startOurs } from './ours.ts';
import { heading, line } from './table.ts';
import { startWebsockify } from './websockify.ts';

/**
 * Compares websockify with the bridge, Redis and a relay for many viewers of a desktop: the cost of a
 * delivered update, the rate of updates, and their latency.
 */
const SECONDS = Number(process.env.SECONDS ?? 8);
/**
 * Compiles the code of bridge and relay, which run for days in production; websockify has no such compiler.
 */
const WARM_UP_SECONDS = Number(process.env.WARM_UP_SECONDS ?? 30);
const VIEWERS = (process.env.VIEWERS ?? '1,10,50,200').split(',').map(Number);
const PROGRAMS = (process.env.PROGRAMS ?? 'animation,text').split(',') as Program[];

/** Target ratios ours / websockify of the CPU time of a delivered update, by number of viewers. */
const TARGETS: Record<Program, Record<number, number>> = {
  animation: { 1: 1.3, 50: 1 / 12 },
  text: { 1: 1.3, 50: 1 / 6 },
};

/** With more viewers, the viewers themselves cause the latency on a machine of few processors. */
const LATENCY_TARGET_UP_TO = 50;

let desktop: Desktop | undefined;
// Open connections to the engine would keep the process alive.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await desktop?.stop().catch(() => undefined);
    await releaseEngine(process.pid);
    process.exit(1);
  });
}

const figures: Figure[] = [];
console.log(heading());
try {
  for (const program of PROGRAMS) await compare(program);
} finally {
  await releaseEngine(process.pid);
}
const met = report('screen: one stream for all against one connection for each', figures);
const loads = loadavg().map((load) => load.toFixed(1));
console.log(`  load average over 1, 5 and 15 minutes: ${loads.join(', ')}`);
// Open connections to the engine would keep the process alive.
process.exit(met ? 0 : 1);

async function compare(program: Program): Promise<void> {
  desktop = await startDesktop(program);
  try {
    const ours = await startOurs(desktop.socketPath);
    try {
      await measure(ours, desktop, 10, WARM_UP_SECONDS);
      for (const viewers of VIEWERS) {
        const websockify = await startWebsockify(desktop.socketPath);
        const theirs = await measure(websockify, desktop, viewers, SECONDS)
          .catch((error: unknown) => console.log(`${program}, ${viewers} viewers, websockify: ${error}`))
          .finally(websockify.stop);
        if (theirs) console.log(line(program, 'websockify', theirs));
        const cost = await measure(ours, desktop, viewers, SECONDS);
        console.log(line(program, 'ours', cost));
        printVerdict(program, cost, theirs ?? undefined);
      }
    } finally {
      await ours.stop();
    }
  } finally {
    await desktop.stop();
  }
}

function printVerdict(program: Program, ours: Cost, theirs: Cost | undefined): void {
  const name = `${program}, ${ours.viewers} viewers`;
  const atMost = TARGETS[program][ours.viewers];
  if (theirs) {
    figures.push(
      {
        name: `${name}: CPU of an update, ours / websockify`,
        value: perUpdate(ours) / perUpdate(theirs),
        unit: '×',
        ...(atMost && { target: { atMost } }),
      },
      {
        name: `${name}: the same with Xvnc`,
        value: perUpdate(ours, ours.xvnc) / perUpdate(theirs, theirs.xvnc),
        unit: '×',
      },
    );
  }
  const within = (atMost: number) => (ours.viewers > LATENCY_TARGET_UP_TO ? {} : { target: { atMost } });
  figures.push(
    { name: `${name}: X change → socket, p50`, value: ours.p50, unit: 'ms', ...within(30) },
    { name: `${name}: X change → socket, p95`, value: ours.p95, unit: 'ms', ...within(60) },
  );
}
