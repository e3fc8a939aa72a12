import {
  ContainerExit,
  type ContainerState,
  EndReason,
  hasEnded,
  PausedBy,
} from '../../contract/containers.ts';
import { JobError } from '../../contract/jobs.ts';
import { parseJson } from '../../runtime/json.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys } from '../keys.ts';
import { recordPlacement } from '../ledger/placements.ts';
import { type ContainerRow, containerRow } from '../ledger/rows.ts';
import { ENDED_RECORD_TTL_MS, OPEN_RECORD_TTL_MS, OUTSTANDING_MS } from '../records.ts';
import type { ContainerRef } from '../refs.ts';
import { assignContainer, changeContainer, unassignContainer } from '../scripts/container.lua.ts';
import type { ContainerEnd, ContainerUpdate, JobEvents } from './job-events.ts';
import { LedgerUnavailableError } from './ledger.ts';
import type { RecordStore } from './store.ts';
import type { UnpublishedEnds } from './unpublished.ts';

export type { ContainerRef };

/**
 * A container's record as workers need it; times in ms. `host`, `boot` and `instanceId` are empty while it is
 * not placed. `fence` is its incarnation: it rises with each placement, and stays while a new worker process
 * of its host keeps it.
 */
export type ContainerRecord = {
  userId: string;
  containerId: string;
  state: ContainerState;
  fence: number;
  host: string;
  boot: string;
  /**
   * The id of its instance: see `workers/containers/spec.ts`. Empty also when an earlier release placed it.
   */
  instanceId: string;
  width: number;
  height: number;
  expiresAt: number | undefined;
  /** When it was last used, as far as it is recorded. */
  usedAt: number | undefined;
  /** Who paused it, while it is paused. */
  pausedBy: PausedBy | undefined;
  /** When it was paused, and resumed, last. */
  pausedAt: number | undefined;
  resumedAt: number | undefined;
  /** The job that starts it, and the one that stops it. */
  jobId: string;
  stopJobId: string;
  /** `ContainerSpec` as JSON. */
  spec: string;
  /** Whether it was taken from the warm pool. */
  warm: boolean;
  /** Why it failed. */
  error: JobError | undefined;
  /** How its programs ended, if it failed. */
  exit: ContainerExit | undefined;
  /** Why it is being stopped, or was, where no request asked for that. */
  endReason: EndReason | undefined;
};

/** A placement to be made: host, boot id and instance; `fence` is the one that was read. */
export type Placing = { fence: number; host: string; boot: string; instanceId: string };

export type Placement =
  | { verdict: 'ok'; fence: number }
  | { verdict: 'taken'; state: ContainerState; host: string; boot: string; fence: number }
  | { verdict: 'gone' };

/**
 * What a change requires of the record as it is when it is made: its placement's `fence`, the states it may be
 * in (default: any that is not ended), and when its time to live ends (default: any time).
 */
export type ContainerCondition = {
  fence: number;
  from?: ContainerState[] | undefined;
  whileExpiresAt?: number | undefined;
};

/** A desktop's change of state. */
export type ContainerChange = ContainerCondition &
  (
    | { to: 'requested' }
    | { to: 'stopping' | 'stopped' | 'lost'; reason?: EndReason | undefined }
    | { to: 'paused'; by: PausedBy }
    | { to: 'resumed' }
    | {
        to: 'running';
        startedAt: number;
        expiresAt: number;
        width: number;
        height: number;
        warm?: boolean | undefined;
      }
    | { to: 'failed'; error: JobError | undefined; exit?: ContainerExit | undefined }
  );
export type ContainerVerdict = 'ok' | 'refused' | 'gone';

/** Records and publishes the states of desktops: see `Records`. */
export class ContainerRecords {
  readonly #store: RecordStore;
  readonly #events: JobEvents;
  readonly #unpublished: UnpublishedEnds;

  constructor(store: RecordStore, events: JobEvents, unpublished: UnpublishedEnds) {
    this.#store = store;
    this.#events = events;
    this.#unpublished = unpublished;
  }

  /** A desktop's record, `undefined` when there is none. */
  async get(ref: ContainerRef): Promise<ContainerRecord | undefined> {
    const { userId, containerId } = ref;
    const read = () => this.#store.redis.hgetall(keys.container(userId, containerId));
    let f = await read();
    if (!f.state && (await this.#store.recallContainer(ref))) f = await read();
    if (!f.state) return undefined;
    return {
      userId,
      containerId,
      state: f.state as ContainerState,
      fence: Number(f.fence),
      host: f.host ?? '',
      boot: f.boot ?? '',
      instanceId: f.instanceId ?? '',
      width: Number(f.width),
      height: Number(f.height),
      expiresAt: timeOf(f.expiresAt),
      usedAt: timeOf(f.usedAt),
      pausedBy: f.state === 'paused' ? PausedBy.safeParse(f.pausedBy).data : undefined,
      pausedAt: timeOf(f.pausedAt),
      resumedAt: timeOf(f.resumedAt),
      jobId: f.jobId ?? '',
      stopJobId: f.stopJobId ?? '',
      spec: f.spec ?? '',
      warm: f.warm === '1',
      error: f.error ? parseJson(JobError, f.error) : undefined,
      exit: f.exit ? parseJson(ContainerExit, f.exit) : undefined,
      endReason: EndReason.safeParse(f.endReason).data,
    };
  }

  /**
   * Assigns a desktop to a host, before the host creates anything. The desktop enters the host's own set
   * first, so that the leftovers of a dying worker are found; then the record, where `fence` (the one that
   * was read) lets one of two hosts win; then the ledger, which knows placements that Redis may have lost.
   * @throws LedgerUnavailableError when the ledger does not confirm in time; the assignment is undone
   */
  async assign(ref: ContainerRef, placing: Placing): Promise<Placement> {
    const { host, boot } = placing;
    const { redis } = this.#store;
    const args = { ...placing, ttlMs: OPEN_RECORD_TTL_MS };
    // One connection carries them out in this order; together they cost one trip.
    const [, answer, record] = await Promise.all([
      this.#store.ofHost(host, (key) => redis.sadd(key, member(ref))),
      this.#known(ref, () => runScript(redis, assignContainer, ref, args)),
      this.#store.ledger ? redis.hgetall(keys.container(ref.userId, ref.containerId)) : {},
    ]);
    if (answer[0] === 'gone') return { verdict: 'gone' };
    if (answer[0] === 'taken') {
      const [verdict, state, takenHost, takenBoot, takenFence] = answer;
      return { verdict, state, host: takenHost, boot: takenBoot, fence: Number(takenFence) };
    }
    const assigned = Number(answer[1]);
    const against = await this.#recordAssignment(ref, { fence: assigned, boot }, record);
    if (against) {
      await this.#store.restoreContainer(against, Math.max(assigned, against.fence) + 1);
      const { state, host: knownHost, boot: knownBoot, fence: knownFence } = against;
      return { verdict: 'taken', state, host: knownHost, boot: knownBoot, fence: knownFence };
    }
    // Not awaited: later events follow it in order, and a placement that replaces this one has its own.
    void this.#events.starting(ref, assigned);
    return { verdict: 'ok', fence: assigned };
  }

  /**
   * Changes a desktop's state and publishes it; `requested` releases its host without an event. An end is
   * noted before it is recorded and until its room has it, because no job is delivered again for a desktop
   * that ends without one.
   * @param before runs after the record has changed and before the event is published
   */
  async change(
    ref: ContainerRef,
    change: ContainerChange,
    before?: () => Promise<unknown>,
  ): Promise<ContainerVerdict> {
    const at = Date.now();
    const { state, fields } = fieldsOf(change, at);
    const ended = hasEnded(state);
    const { userId, containerId: id } = ref;
    const note = ended ? await this.#unpublished.add({ kind: 'container', userId, id }) : undefined;
    const verdict = await this.#changed(ref, change, ended, fields);
    // An earlier end may still be unpublished: its note stays.
    if (verdict !== 'ok') return verdict;
    await before?.();
    const published = await this.#events.container(ref, change.fence, Object.assign({ at }, change));
    if (note && published) await this.#unpublished.remove(note);
    return verdict;
  }

  /**
   * Publishes the end of a desktop, as far as the realtime Redis answers now.
   * @returns `open` when it has not ended
   */
  async publishEnd(ref: ContainerRef): Promise<'published' | 'unpublished' | 'open'> {
    const record = await this.get(ref);
    if (!record) return 'published';
    const end = endOf(record);
    if (!end) return 'open';
    return (await this.#events.containerEndedNow(ref, end)) ? 'published' : 'unpublished';
  }

  /**
   * Publishes again the event that a lost worker may not have published: the start of a running desktop, the
   * end of an ended one.
   */
  async republish(record: ContainerRecord): Promise<void> {
    const update = updateOf(record);
    if (update) await this.#events.container(record, record.fence, update);
  }

  /**
   * Publishes again that a desktop was paused, or resumed. The event is published once, however often this is
   * called.
   */
  async republishPause(record: ContainerRecord): Promise<void> {
    const { state, fence, pausedBy: by, pausedAt, resumedAt } = record;
    if (state === 'paused' && by) {
      await this.#events.container(record, fence, { to: 'paused', by, at: pausedAt ?? 0 });
    } else if (state === 'running' && resumedAt !== undefined) {
      await this.#events.container(record, fence, { to: 'resumed', at: resumedAt });
    }
  }

  /**
   * Sets when the time to live of a desktop ends.
   * @param whileExpiresAt when it must end until then; any time if left out
   * @returns `refused` when its state or placement is no longer that of the record
   */
  async extend(
    record: ContainerRecord,
    expiresAt: number,
    whileExpiresAt?: number,
  ): Promise<ContainerVerdict> {
    const { state, fence } = record;
    // The state is written again: so the ledger gets the change.
    const fields = ['state', state, 'expiresAt', expiresAt];
    const condition = { fence, from: [state], whileExpiresAt };
    const verdict = await this.#changed(record, condition, false, fields);
    if (verdict === 'ok') await this.republishExtension({ ...record, expiresAt });
    return verdict;
  }

  /** Publishes again when the time to live of a desktop ends: see {@link ContainerRecords.republishPause}. */
  async republishExtension(record: ContainerRecord): Promise<void> {
    const { fence, expiresAt } = record;
    if (expiresAt !== undefined) await this.#events.container(record, fence, { to: 'extended', expiresAt });
  }

  /**
   * Keeps a live desktop counted against its owner's quota, and its record from expiring.
   * @param usedAt when it was last used, ms; left out when that is recorded already
   */
  async touch(ref: ContainerRef, fence: number, usedAt?: number): Promise<ContainerVerdict> {
    const from: ContainerState[] = ['running', 'paused'];
    return this.#changed(ref, { fence, from }, false, usedAt === undefined ? [] : ['usedAt', usedAt]);
  }

  /** Desktops that were ever placed on a host and are not yet forgotten. */
  async ofHost(host: string): Promise<ContainerRef[]> {
    const members = await this.#store.ofHost(host, (key) => this.#store.redis.smembers(key));
    return members.map((text) => {
      const slash = text.lastIndexOf('/');
      return { userId: text.slice(0, slash), containerId: text.slice(slash + 1) };
    });
  }

  async forget(host: string, ref: ContainerRef): Promise<void> {
    await this.#store.ofHost(host, (key) => this.#store.redis.srem(key, member(ref)));
  }

  /**
   * Restores a desktop's record, with its host's entry, unless Redis has one that is as new.
   * @returns whether it was restored
   */
  restore(row: ContainerRow): Promise<boolean> {
    return this.#store.restoreContainer(row);
  }

  /**
   * @param read the record as it was read with the assignment; it may be older
   * @returns the row that conflicts with the assignment
   */
  async #recordAssignment(
    ref: ContainerRef,
    { fence, boot }: { fence: number; boot: string },
    read: Record<string, string>,
  ): Promise<ContainerRow | undefined> {
    const { ledger, redis } = this.#store;
    if (!ledger) return undefined;
    try {
      const isRead = read.fence === `${fence}`;
      const record = isRead ? read : await redis.hgetall(keys.container(ref.userId, ref.containerId));
      if (record.fence !== `${fence}`) throw new LedgerUnavailableError('the placement is lost or replaced');
      const row = containerRow(ref.userId, record);
      return await ledger.run((db) => recordPlacement(db, row, new Date()));
    } catch (error) {
      await runScript(redis, unassignContainer, ref, { fence, boot });
      throw error;
    }
  }

  async #changed(
    ref: ContainerRef,
    { fence, from, whileExpiresAt }: ContainerCondition,
    ended: boolean,
    fields: (string | number)[],
  ): Promise<ContainerVerdict> {
    const args = {
      fence,
      from: from?.join(',') ?? '',
      ttlMs: ended ? ENDED_RECORD_TTL_MS : OPEN_RECORD_TTL_MS,
      until: ended ? ('' as const) : Date.now() + OUTSTANDING_MS,
      maxChanges: this.#store.maxChanges,
      whileExpiresAt,
    };
    const change = () => this.#store.change(ref.userId, changeContainer, ref, args, fields);
    // A record with an older fence than the caller's has lost its last changes.
    const [verdict] = await this.#known(ref, change, ([answer, , known]) =>
      answer === 'refused' ? Number(known) < fence : answer === 'gone',
    );
    return verdict;
  }

  async #known<T extends [string, ...unknown[]]>(
    ref: ContainerRef,
    work: () => Promise<T>,
    forgotten = (answer: T): boolean => answer[0] === 'gone',
  ): Promise<T> {
    const answer = await work();
    if (!forgotten(answer) || !(await this.#store.recallContainer(ref))) return answer;
    return work();
  }
}

/** The state that a change leads to, and the fields that it sets. `at`: when it is made, ms. */
function fieldsOf(
  change: ContainerChange,
  at: number,
): { state: ContainerState; fields: (string | number)[] } {
  const state = change.to === 'resumed' ? 'running' : change.to;
  const fields: (string | number)[] = ['state', state];
  if (change.to === 'requested') fields.push('host', '', 'boot', '', 'instanceId', '');
  if (change.to === 'running') {
    const { startedAt, expiresAt } = change;
    fields.push('startedAt', startedAt, 'expiresAt', expiresAt, 'usedAt', startedAt);
    if (change.warm) fields.push('warm', '1');
  }
  if (change.to === 'paused') fields.push('pausedBy', change.by, 'pausedAt', at);
  if (change.to === 'resumed') fields.push('pausedBy', '', 'resumedAt', at, 'usedAt', at);
  if (change.to === 'failed' && change.error) fields.push('error', JSON.stringify(change.error));
  if (change.to === 'failed' && change.exit) fields.push('exit', JSON.stringify(change.exit));
  if (hasEnded(state)) fields.push('endedAt', at);
  if ('reason' in change && change.reason) fields.push('endReason', change.reason);
  return { state, fields };
}

const timeOf = (text: string | undefined): number | undefined => (text ? Number(text) : undefined);

/** The update that corresponds to a desktop's state, if its room must have one. */
function updateOf(record: ContainerRecord): ContainerUpdate | undefined {
  const { state, width, height, warm, expiresAt = 0 } = record;
  return state === 'running' ? { to: state, expiresAt, width, height, warm } : endOf(record);
}

function endOf({ state, error, exit, endReason }: ContainerRecord): ContainerEnd | undefined {
  if (state === 'failed') return { to: state, error, exit };
  if (state === 'stopped') return { to: state, reason: endReason };
  return state === 'lost' ? { to: state, reason: endReason } : undefined;
}

const member = ({ userId, containerId }: ContainerRef): string => `${userId}/${containerId}`;
