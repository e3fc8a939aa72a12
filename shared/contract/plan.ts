import { HOST_QUEUES, LANES } from '../engine/queues.ts';
import type { JobCommand, Lane } from './command.ts';
import { JOB_COMMANDS } from './registry.ts';

/** A command as the submit script reads it: the script is independent of kinds. */
export type SubmitPlan = {
  /** Where a run waits; left out for a retry without `hostQueue`, which waits where it did before. */
  queue?: string;
  /** The name of the queue where a run waits once its container has a host: `<prefix><host><suffix>`. */
  hostQueue?: [prefix: string, suffix: string];
  /** Whether the command must (`one`) or may (`maybe`) name a container; left out when it has none. */
  about?: 'one' | 'maybe';
  /** The states in which that container takes it. */
  requires?: readonly string[];
  /** The state of that container while no host has it. */
  enters?: string;
  /** The field of that container's record that names the one outstanding job. */
  once?: string;
  creates: boolean;
  keepsInput: boolean;
  counts: boolean;
  retryable: boolean;
};

const ABOUT = { path: 'one', input: 'maybe', creates: undefined, none: undefined } as const;

/** @param lane of this request; left out for a retry of a command that has no container's host */
export function planOf(command: JobCommand, lane: Lane | undefined): SubmitPlan {
  const names: { queue?: string; suffix?: string } = lane ? LANES[lane] : {};
  const about = ABOUT[command.container];
  return {
    ...(names.queue ? { queue: names.queue } : {}),
    ...(names.suffix === undefined ? {} : { hostQueue: [HOST_QUEUES, names.suffix] }),
    ...(about ? { about } : {}),
    ...(command.requires ? { requires: command.requires } : {}),
    ...(command.enters ? { enters: command.enters } : {}),
    ...(command.once ? { once: command.once } : {}),
    creates: command.container === 'creates',
    keepsInput: command.keepsInput,
    counts: command.counts,
    retryable: command.retryable,
  };
}

/** The plan of every kind: a retry does not know the kind of its job. */
export const SUBMIT_PLANS: Record<string, SubmitPlan> = Object.fromEntries(
  JOB_COMMANDS.map((command) => [
    command.kind,
    planOf(command, command.container === 'path' ? command.lane({}) : undefined),
  ]),
);

/** The kinds as the cancel script reads them. */
export const CANCEL_PLANS: Record<string, { cancellable: boolean; creates: boolean }> = Object.fromEntries(
  JOB_COMMANDS.map(({ kind, cancellable, container }) => [
    kind,
    { cancellable, creates: container === 'creates' },
  ]),
);
