import { createBusyLine, measureMoves, spread } from './moves.ts';
import { measureStarts } from './recovery-starts.ts';
import { type Figure, report } from './report.ts';

/**
 * Measures how long jobs of a killed worker process take until a peer runs them: with the beats of processes,
 * and by BullMQ's check for stalled jobs alone.
 */
const KILLS = Number(process.env.KILLS ?? 15);
const KILLS_ALONE = Number(process.env.KILLS_ALONE ?? 8);
const STARTS = Number(process.env.STARTS ?? 15);
const STARTS_ALONE = Number(process.env.STARTS_ALONE ?? 5);
const DEAD_AFTER_MS = process.env.DEAD_AFTER_MS ?? '2500';
/** The target of a recovery, ms. */
const WITHIN_MS = 4000;

const line = await createBusyLine();
const kill = { signal: 'SIGKILL', jobs: 4 } as const;
const alone = await measureMoves(line, { ...kill, rounds: KILLS_ALONE });
const jobs = await measureMoves(line, { ...kill, rounds: KILLS, env: { DEAD_AFTER_MS } });
await line.stop();
const starts = await measureStarts({ rounds: STARTS, alone: STARTS_ALONE, deadAfterMs: DEAD_AFTER_MS });

/** The figures of both ways, those that were measured; BullMQ alone has no target. */
const both = (name: string, withBeats: number[], withoutBeats: number[]): Figure[] => [
  ...(withoutBeats.length > 0 ? spread(`${name}, BullMQ alone`, withoutBeats) : []),
  ...(withBeats.length > 0 ? spread(name, withBeats, WITHIN_MS) : []),
];
const figures = [
  ...both('kill -9 → a peer runs its jobs', jobs, alone),
  ...both('kill -9 → a peer makes its start', starts.withBeats, starts.alone),
];
process.exit(report('recovery', figures) ? 0 : 1);
