import { type Container, hasEnded } from '@warmwind/shared/contract/containers';
import type { StoredEvent } from '@warmwind/shared/contract/rooms';
import { CONTAINER_STATE_AFTER } from '@warmwind/shared/contract/states';
import { keys, roomKeys } from '@warmwind/shared/engine/keys';
import { LABELS } from '../../../../workers/containers/spec.ts';
import type { World } from '../world.ts';
import type { LifeClient } from './client.ts';
import type { LifeDesktop } from './desktop.ts';
import type { Injected } from './faults.ts';

/** A disagreement: of which invariant, and its description. */
export type Disagreement = { invariant: string; subject: string; detail: string };
type Report = (invariant: string, subject: string, detail: string) => void;

/** The parts of a finished run. */
export type LifeRun = {
  world: World;
  desktops: LifeDesktop[];
  clients: Map<string, LifeClient>;
  injected: Injected[];
  /** Whether desktops outlive the engine. */
  liveRestore: boolean;
  /** The instances that each host keeps ready. */
  pooled: number;
};

/** A record in Redis, with the desktop of the plan. */
export type Recorded = { desktop: LifeDesktop; record: Record<string, string> };
type Row = {
  id: string;
  user_id: string;
  state: string;
  host: string;
  fence: number;
  instance_id: string;
} & Record<'started_at' | 'expires_at' | 'ended_at', Date | null>;

const ms = (at: Date | null): string => (at ? String(at.getTime()) : '');

/** Reads the records of all desktops that were requested. */
export async function readRecords({ world, desktops }: LifeRun): Promise<Recorded[]> {
  const known = desktops.filter(({ containerId }) => containerId !== '');
  const pipeline = world.queue.client.pipeline();
  for (const { client, containerId } of known) pipeline.hgetall(keys.container(client.user, containerId));
  const answers = (await pipeline.exec()) ?? [];
  return known.map((desktop, i) => ({ desktop, record: (answers[i]?.[1] ?? {}) as Record<string, string> }));
}

export const isLive = ({ record }: Recorded): boolean =>
  record.state === 'running' || record.state === 'paused';

/** Checks that Redis, the ledger, the lists and the events agree on each desktop. */
export async function checkViews(run: LifeRun, recorded: Recorded[], report: Report): Promise<void> {
  const { world, clients } = run;
  const rows = await world.postgres.sql<Row[]>`select * from containers`;
  const byId = new Map(rows.map((row) => [row.id, row]));
  const known = new Set(recorded.map(({ desktop }) => desktop.containerId));
  for (const { id } of rows) if (!known.has(id)) report('one key, one desktop', id, 'has no request');
  const lists = new Map<string, Map<string, Container>>();
  for (const [user, client] of clients) lists.set(user, await listAll(client));
  for (const one of recorded) {
    const { desktop, record } = one;
    const id = desktop.containerId;
    const row = byId.get(id);
    if (!row || !record.id) {
      report('views agree', id, `record ${record.state ?? 'none'}, ledger ${row?.state ?? 'none'}`);
      continue;
    }
    compareRow(record, row, report);
    await compareAnswers(run, one, lists, report);
    await checkRoom(run, one, report);
  }
}

function compareRow(record: Record<string, string>, row: Row, report: Report): void {
  const pairs: [string, string, string][] = [
    ['state', record.state ?? '', row.state],
    ['fence', record.fence ?? '', String(row.fence)],
    ['host', record.host ?? '', row.host],
    ['instance', record.instanceId ?? '', row.instance_id],
    ['startedAt', record.startedAt ?? '', ms(row.started_at)],
    ['expiresAt', record.expiresAt ?? '', ms(row.expires_at)],
    ['endedAt', record.endedAt ?? '', ms(row.ended_at)],
  ];
  for (const [field, redis, ledger] of pairs)
    if (redis !== ledger) report('views agree', row.id, `${field}: Redis ${redis}, ledger ${ledger}`);
}

/** The answers of the edge to its user, and to another. */
async function compareAnswers(
  { clients }: LifeRun,
  { desktop: { client, containerId: id }, record }: Recorded,
  lists: Map<string, Map<string, Container>>,
  report: Report,
): Promise<void> {
  const got = (await client.request((edge) => edge.getContainer(id))).value;
  const listed = lists.get(client.user)?.get(id);
  for (const [view, seen] of [
    ['GET', got],
    ['list', listed],
  ] as const) {
    if (seen?.state !== record.state || seen?.incarnation !== Number(record.fence))
      report(
        'views agree',
        id,
        `${view} ${seen?.state} ${seen?.incarnation}, Redis ${record.state} ${record.fence}`,
      );
  }
  const [other] = [...clients.values()].filter(({ user }) => user !== client.user);
  const refused = await other?.request((edge) => edge.getContainer(id));
  if (refused && refused.status !== 404) report('no leak', id, `another user is answered ${refused.status}`);
}

/** The last event of a desktop's room leads to its state; a realtime Redis that was restarted may have lost it. */
async function checkRoom(
  { world, injected }: LifeRun,
  { desktop, record }: Recorded,
  report: Report,
): Promise<void> {
  const { client, containerId: id, results } = desktop;
  const entries = await world.realtime.client.xrange(roomKeys.log(client.user, `container:${id}`), '-', '+');
  const types = entries.map(([, fields]) => (JSON.parse(fields[3] ?? '{}') as StoredEvent).type);
  const after = CONTAINER_STATE_AFTER as Record<string, string | undefined>;
  const [last] = types.flatMap((type) => after[type] ?? []).slice(-1);
  const turns = results.filter(({ operation }) => /pause|resume/.test(operation.kind));
  const times = [record.startedAt, record.endedAt, ...turns.map(({ to }) => to)];
  const changedAt = Math.max(...times.map((time) => Number(time ?? 0)));
  const lost = injected.some(({ kind, to }) => /realtime|all/.test(kind) && to > changedAt);
  if (last !== record.state && !(lost && last === undefined))
    report('events agree', id, `state ${record.state}, events ${types.join(', ') || 'none'}`);
  const ends = types.filter((type) => hasEnded((after[type] ?? 'running') as Container['state']));
  if (ends.length > 1) report('events agree', id, `several ends: ${ends.join(', ')}`);
}

/** Checks that the engine holds exactly the instances of running and paused desktops, and pooled ones. */
export async function checkEngine(run: LifeRun, recorded: Recorded[], report: Report): Promise<string[]> {
  const { world, pooled } = run;
  const wanted = new Map(
    recorded.filter(isLive).map(({ desktop, record }) => [record.instanceId, { desktop, record }]),
  );
  const free: string[] = [];
  const perHost = new Map<string, number>();
  const seen = new Set<string>();
  for (const { Id, Labels, State } of await world.containers()) {
    const instance = Labels[LABELS.instance] ?? '';
    const host = Labels[LABELS.host] ?? '';
    const claimed = wanted.get(instance);
    if (seen.has(instance)) report('engine agrees', instance, 'exists twice');
    seen.add(instance);
    if (claimed) {
      const { record } = claimed;
      if (State !== record.state || host !== record.host)
        report(
          'engine agrees',
          record.id ?? '',
          `${record.state} on ${record.host}, engine ${State} on ${host}`,
        );
    } else if (State === 'running' && pooled > 0) {
      free.push(Id);
      perHost.set(host, (perHost.get(host) ?? 0) + 1);
    } else {
      report('no orphan', instance, `engine container ${State} on ${host}`);
    }
  }
  for (const [instance, { record }] of wanted)
    if (!seen.has(instance ?? ''))
      report('engine agrees', record.id ?? '', `${record.state}, the engine has none`);
  // A pool that is short fills up again: the comparison is repeated until it has.
  for (const { name } of world.workers) {
    const count = perHost.get(name) ?? 0;
    if (count > pooled)
      report('no orphan', name, `${count} instances without a desktop, ${pooled} are pooled`);
    if (count < pooled) report('engine agrees', name, `${count} pooled instances`);
  }
  return free;
}

async function listAll(client: LifeClient): Promise<Map<string, Container>> {
  const found = new Map<string, Container>();
  let cursor: string | undefined;
  do {
    const query = { limit: 100, ...(cursor === undefined ? {} : { cursor }) };
    const { value } = await client.request((edge) => edge.listContainers(query));
    for (const item of value?.items ?? []) found.set(item.id, item);
    cursor = value?.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return found;
}
