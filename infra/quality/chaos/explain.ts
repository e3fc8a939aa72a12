import type { Violation } from './invariants.ts';
import type { World } from './world.ts';

const MAX_LOG_LINES = 40;

/** @returns the history of a job or desktop in the ledger, the engine's events and the services' log lines */
export async function explain(world: World, { invariant, subject, detail }: Violation): Promise<string[]> {
  const lines = [`${invariant}: ${subject} ${detail}`];
  if (!/^[0-9a-f-]{36}$/.test(subject)) return lines;
  const { sql } = world.postgres;
  const jobs = await sql<{ id: string; container_id: string; kind: string; state: string; error: unknown }[]>`
    select id, container_id, kind, state, error from jobs where id = ${subject} or container_id = ${subject}
      or container_id = (select nullif(container_id, '') from jobs where id = ${subject}) order by created_at`;
  const ids = new Set([subject]);
  for (const { id, container_id, kind, state, error } of jobs) {
    ids.add(id);
    if (container_id) ids.add(container_id);
    lines.push(`  ${kind} ${id} of desktop ${container_id}: ${state} ${error ? JSON.stringify(error) : ''}`);
    const changes = await sql<
      { at: Date; run: number; state: string; fence: number; attempts_made: number; seq: string }[]
    >`
      select at, run, state, fence, attempts_made, seq from job_changes where job_id = ${id} order by at, seq`;
    for (const c of changes) {
      lines.push(
        `    ${clock(c.at)} run ${c.run} ${c.state} fence ${c.fence} attempts ${c.attempts_made} (${c.seq})`,
      );
    }
  }
  for (const id of new Set(jobs.map(({ container_id }) => container_id))) {
    const changes = await sql<{ at: Date; state: string; host: string; fence: number; seq: string }[]>`
      select at, state, host, fence, seq from container_changes where container_id = ${id} order by at, seq`;
    for (const c of changes)
      lines.push(`    ${clock(c.at)} desktop ${c.state} ${c.host} fence ${c.fence} (${c.seq})`);
    const instances = new Set(
      (await sql<{ id: string }[]>`select id from volumes where container_id = ${id}`).map((row) => row.id),
    );
    for (const { action, host, at, instanceId } of world.watch.events) {
      if (!instances.has(instanceId)) continue;
      lines.push(`    ${clock(new Date(Number(at / 1_000_000n)))} engine ${action} ${host} ${instanceId}`);
    }
  }
  const sources = [
    ...world.workers.map(({ name, lines: output }) => ({ name, output })),
    { name: 'edge', output: world.edgeLines },
  ];
  for (const { name, output } of sources) {
    const own = output.filter((line) => !line.includes('"GET"') && [...ids].some((id) => line.includes(id)));
    for (const line of own.slice(-MAX_LOG_LINES)) lines.push(`    ${name}: ${line.slice(0, 500)}`);
  }
  return lines;
}

const clock = (at: Date): string => at.toISOString().slice(11, 23);
