import type { hasEnded } from '@warmwind/shared/contract/containers';
import type { JobKind } from '@warmwind/shared/contract/registry';
import { LABELS } from '../../../../workers/containers/spec.ts';
import type { World } from '../world.ts';
import { isLive, type LifeRun, type Recorded } from './agreement.ts';
import { containerOf, SEARCH } from './canary.ts';
import type { LifeDesktop, Result } from './desktop.ts';
import { ENGINE_FAULTS } from './plan.ts';

type Report = (invariant: string, subject: string, detail: string) => void;

/** How long after a fault the system may still recover, ms: calls may fail meanwhile. */
const RECOVERY_MS = 20_000;
/** How soon a restarted worker removes what it left: one lease and one sweep, ms. */
const REMOVED_WITHIN_MS = 25_000;

/** Whether the engine was away while this ran. */
function engineFailed({ injected }: LifeRun, from: number, to: number): boolean {
  return injected.some(
    (fault) => ENGINE_FAULTS.includes(fault.kind) && fault.from < to && fault.to > from - RECOVERY_MS,
  );
}

/** Checks that operations ended as they must, and left the state that they must. */
export function checkOutcomes(run: LifeRun, recorded: Recorded[], report: Report): void {
  for (const { desktop, record } of recorded) {
    const { results, containerId, observations } = desktop;
    const [first] = results;
    const last = results.at(-1);
    if (!first || !last) continue;
    const doomed = engineFailed(run, first.from, Date.now());
    // The claim of a call is in the realtime Redis and in its worker: it is lost with both.
    const claimsLost = run.injected.some(({ kind }) => kind === 'all killed');
    for (const text of observations)
      if (!claimsLost || !text.startsWith('act ')) report('each effect once', containerId, text);
    for (const result of results) checkOutcome(run, desktop, result, report);
    const stopped = results.find(({ operation }) => operation.kind === 'stop');
    const state = record.state as Parameters<typeof hasEnded>[0];
    if (doomed) {
      // Its start was over: only the engine's restart ended it.
      if (state === 'failed' && first.done)
        report('operations hold', containerId, 'should be lost, is failed');
      continue;
    }
    const turn = results.findLast(({ operation, done }) => done && /pause|resume/.test(operation.kind));
    const wanted = stopped ? 'stopped' : turn?.operation.kind === 'pause' ? 'paused' : 'running';
    const touched =
      turn && results.some(({ from, operation }) => from > turn.from && operation.kind !== 'extend');
    if (state !== wanted && !(touched && isLive({ desktop, record })))
      report('operations hold', containerId, `should be ${wanted}, is ${state}`);
  }
}

function checkOutcome(run: LifeRun, desktop: LifeDesktop, result: Result, report: Report): void {
  const { operation, from, to, done, detail } = result;
  if (done || engineFailed(run, desktop.results[0]?.from ?? from, to)) return;
  const { kind, index } = operation;
  const isJob = ['start', 'stop', 'exec', 'pause', 'resume'].includes(kind);
  const early = desktop.results.some((other) => other.operation.early && other.from < to);
  if (early && kind !== 'stop') return;
  const faulty = run.injected.some((fault) => fault.from < to && fault.to > from - RECOVERY_MS);
  // A call may fail while a worker or the realtime Redis is away; a job waits.
  if (!isJob && faulty) return;
  report('no spurious failures', desktop.containerId, `${kind} ${index}: ${detail}`);
}

type Life = { engineId: string; host: string; from: number; to: number };

/** No desktop ever had two running engine containers, but one that a killed worker left until it was back. */
export async function checkDoubles({ world, injected, liveRestore }: LifeRun, report: Report): Promise<void> {
  const rows = await world.postgres.sql<
    { id: string; container_id: string }[]
  >`select id, container_id from volumes`;
  const containerIds = new Map(rows.map(({ id, container_id }) => [id, container_id]));
  // Events of the engine's own end are lost: what ran had ended before it answered again.
  const ends = liveRestore ? [] : injected.flatMap(({ engineEndedAt }) => engineEndedAt ?? []);
  const lives = new Map<string, Life[]>();
  for (const { action, id, instanceId, host, at } of world.watch.events) {
    const of = containerIds.get(instanceId);
    if (!of) continue;
    const own = lives.get(of) ?? [];
    lives.set(of, own);
    const time = Number(at / 1_000_000n);
    const ended = ends.find((endedAt) => endedAt >= time) ?? Number.POSITIVE_INFINITY;
    if (action === 'start') own.push({ engineId: id, host, from: time, to: ended });
    const life = own.find((known) => known.engineId === id);
    if (action === 'die' && life) life.to = Math.min(life.to, time);
  }
  for (const [containerId, own] of lives) {
    own.sort((a, b) => a.from - b.from);
    own.forEach((life, i) => {
      const next = own[i + 1];
      if (!next || life.to <= next.from || isLeft(world, life, next)) return;
      report('one desktop, one container', containerId, `two ran at once on ${life.host} and ${next.host}`);
    });
  }
}

function isLeft({ workers }: World, { host, from, to }: Life, next: Life): boolean {
  const ends = workers.find(({ name }) => name === host)?.ends ?? [];
  const killed = ends.some(({ signal, at }) => signal === 'SIGKILL' && at > from - 5000 && at < next.from);
  const back = ends.findLast(({ at }) => at < to)?.back ?? 0;
  return killed && to < back + REMOVED_WITHIN_MS;
}

/** Searches every desktop that runs, and every pooled instance, for canaries of others. */
export async function checkLeaks(
  run: LifeRun,
  recorded: Recorded[],
  free: string[],
  report: Report,
): Promise<number> {
  let searched = 0;
  for (const { desktop, record } of recorded) {
    if (isLive({ desktop, record })) {
      const { client, containerId, number } = desktop;
      const key = `last-${number}`;
      if (record.state === 'paused')
        await client.job('container.resume' as JobKind, { containerId }, `resume-${key}`);
      const read = (await desktop.search(`search-${key}`)) && (await desktop.count(`count-${key}`));
      if (!read) report('no leak', containerId, 'could not be searched');
      searched += 1;
    }
    for (const canary of desktop.found)
      if (containerOf(canary) !== desktop.number) report('no leak', desktop.containerId, `holds ${canary}`);
  }
  for (const id of free) {
    searched += 1;
    const found = await searchPooled(run.world, id);
    if (found !== '') report('no leak', id, `a pooled instance holds ${found}`);
  }
  return searched;
}

async function searchPooled({ docker }: World, id: string): Promise<string> {
  const container = docker.getContainer(id);
  const { Config } = await container.inspect();
  const user = Config.Labels[LABELS.uid];
  const options = { User: `${user}:${user}`, WorkingDir: '/home/user', Tty: true, AttachStdout: true };
  const exec = await container.exec({ ...options, Cmd: ['sh', '-c', SEARCH] });
  let text = '';
  for await (const chunk of await exec.start({ Tty: true })) text += chunk;
  return [text.trim(), ...(Config.Env ?? []).filter((line) => line.includes('canary-'))].join(' ').trim();
}
