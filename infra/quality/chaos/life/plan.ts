import { CALL_COMMANDS, JOB_COMMANDS } from '@warmwind/shared/contract/registry';
import { USERS } from '../load.ts';
import type { Random } from '../random.ts';

/** How many desktops a plan keeps at most. */
const MOST_ALIVE = 7;
const LEAST_ALIVE = 3;

const OPERATION_KINDS = [
  'start',
  'stop',
  'exec',
  'act',
  'screenshot',
  'clipboard',
  'file',
  'pause',
  'resume',
  'extend',
] as const;
type OperationKind = (typeof OPERATION_KINDS)[number];

/** How often an operation on a desktop is planned, against the others. */
const WEIGHTS: Record<OperationKind, number> = {
  start: 16,
  stop: 12,
  exec: 22,
  act: 18,
  screenshot: 6,
  clipboard: 6,
  file: 6,
  pause: 8,
  resume: 8,
  extend: 4,
};

/** The commands that an operation needs: it is planned only where the contract has them. */
const NEEDED: Partial<Record<OperationKind, string>> = {
  pause: 'container.pause',
  resume: 'container.resume',
  extend: 'container.extend',
};

/** One request of a user. `container` counts the starts of the plan. */
export type Operation = {
  index: number;
  kind: OperationKind;
  container: number;
  user: string;
  seed: number;
  /** A start without environment, which a pool can serve. */
  plain: boolean;
  /** It does not wait for the operations before it on the same desktop. */
  early: boolean;
};

export type FaultKind =
  | 'worker killed'
  | 'worker ended'
  | 'queue Redis killed'
  | 'realtime Redis killed'
  | 'engine killed'
  | 'engine restarted'
  | 'all killed';

/** Faults that end the engine, and with it every desktop unless it restores live ones. */
export const ENGINE_FAULTS: readonly FaultKind[] = ['engine killed', 'engine restarted', 'all killed'];
/** Faults without any of those of the engine are more frequent: its own take all desktops with it. */
const REPEATED: readonly FaultKind[] = [
  'worker killed',
  'worker killed',
  'worker killed',
  'worker ended',
  'queue Redis killed',
  'realtime Redis killed',
  ...ENGINE_FAULTS,
];

/** A fault that is injected when operation `at` begins. */
export type PlannedFault = { at: number; kind: FaultKind; seed: number };

export type LifePlan = { operations: Operation[]; faults: PlannedFault[] };

type Alive = { container: number; user: string; paused: boolean };

/**
 * Plans operations and faults: the same for the same seed.
 * @param liveRestore whether desktops outlive the engine
 */
export function planLife(
  random: Random,
  {
    operations: count,
    faults: faultCount,
    liveRestore,
  }: { operations: number; faults: number; liveRestore: boolean },
): LifePlan {
  const faults = planFaults(random, count, faultCount);
  const operations: Operation[] = [];
  let alive: Alive[] = [];
  let started = 0;
  for (let index = 0; index < count; index++) {
    const ends = faults.some(({ at, kind }) => at === index && ENGINE_FAULTS.includes(kind));
    if (ends && !liveRestore) alive = [];
    const kind = pickKind(random, alive);
    const own = kind === 'start' ? undefined : pickAlive(random, alive, kind);
    const on = own ?? { container: started++, user: random.pick(USERS), paused: false };
    if (!own) alive.push(on);
    if (kind === 'stop') alive = alive.filter((one) => one !== on);
    if (kind === 'pause' || kind === 'resume') on.paused = kind === 'pause';
    operations.push({
      index,
      kind: own ? kind : 'start',
      container: on.container,
      user: on.user,
      seed: random.int(1, 2 ** 31),
      plain: random.chance(0.5),
      early: kind === 'stop' && random.chance(0.25),
    });
  }
  return { operations, faults };
}

function planFaults(random: Random, operations: number, count: number): PlannedFault[] {
  const faults: PlannedFault[] = [];
  let left: FaultKind[] = [];
  for (let n = 0; n < count; n++) {
    if (left.length === 0) left = [...REPEATED];
    const [kind = 'worker killed'] = left.splice(random.int(0, left.length - 1), 1);
    // Spread over the run, so that the system also works between them.
    const at = Math.floor(((n + 0.3 + random.next() * 0.6) / count) * operations);
    faults.push({ at, kind, seed: random.int(1, 2 ** 31) });
  }
  return faults;
}

const exists = (kind: OperationKind): boolean => {
  const needed = NEEDED[kind];
  return (
    needed === undefined || [...JOB_COMMANDS, ...CALL_COMMANDS].some((command) => command.kind === needed)
  );
};

const KINDS = OPERATION_KINDS.filter(exists);

function pickKind(random: Random, alive: Alive[]): OperationKind {
  if (alive.length < LEAST_ALIVE) return 'start';
  const possible = KINDS.filter((kind) => {
    if (kind === 'start') return alive.length < MOST_ALIVE;
    return candidates(alive, kind).length > 0;
  });
  const weighted = possible.flatMap((kind) => Array.from({ length: WEIGHTS[kind] }, () => kind));
  return weighted[random.int(0, weighted.length - 1)] ?? 'exec';
}

/** A paused desktop takes few operations, one that runs can't be resumed. */
function candidates(alive: Alive[], kind: OperationKind): Alive[] {
  if (kind === 'stop' || kind === 'extend') return alive;
  return alive.filter(({ paused }) => paused === (kind === 'resume'));
}

function pickAlive(random: Random, alive: Alive[], kind: OperationKind): Alive | undefined {
  const [first, ...others] = candidates(alive, kind);
  return first && random.pick([first, ...others]);
}
