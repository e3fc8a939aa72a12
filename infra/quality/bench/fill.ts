import type postgres from 'postgres';

/** The user with a quarter of all jobs; the rest belongs to `user-0` … `user-198`. */
export const HEAVY = 'heavy';
/** One job of two hundred ends in this state; one of twenty is a `container.stop`. */
export const RARE_STATE = 'timed_out';
/** The jobs are spread evenly over this time before now. */
const SPAN_DAYS = 120;
/** How many jobs have not ended: the youngest ones. */
const OPEN = 200;
const TABLES = ['jobs', 'containers', 'job_changes', 'container_changes'];

/**
 * Fills an empty ledger like months of use: two hundred users, jobs of every kind and state. Jobs from before
 * `storiesBefore` also have their changes, and a desktop for every start. Indices are dropped and created
 * again at the end, which takes seconds instead of minutes. Analyzes the tables.
 */
export async function fillLedger(
  sql: postgres.Sql,
  jobs: number,
  storiesBefore = new Date(0),
): Promise<void> {
  const indices = await sql<{ name: string; definition: string }[]>`
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
    from pg_index where indrelid::regclass::text = any(${TABLES}) and not indisprimary`;
  for (const { name } of indices) await sql.unsafe(`drop index ${name}`);
  await sql`alter table jobs drop constraint jobs_pkey`;
  await sql`
    insert into jobs
    select md5('job' || i), user_id, kind, state, 1, case when open then 0 else 1 end, 0, 'containers',
      md5('container' || i), md5('request' || i), null,
      case when state = 'failed'
        then '{"code":"internal","message":"The desktop did not come up.","retryable":true}'::json end,
      created_at,
      case when state not in ('queued', 'cancelled') then created_at + interval '1 second' end,
      case when not open then created_at + interval '7 seconds' end
    from (
      select *,
        case when open then case when h % 2 = 0 then 'queued' else 'active' end
          when h % 1000 < 5 then ${RARE_STATE} when h % 1000 < 55 then 'failed'
          when h % 1000 < 100 then 'cancelled' else 'completed' end as state,
        case when h / 1000 % 100 < 95 then 'container.start' else 'container.stop' end as kind
      from (
        select i, abs(hashint8(i)::bigint) as h, i > ${jobs}::int - ${OPEN}::int as open,
          case when i % 4 = 0 then ${HEAVY} else 'user-' || abs(hashint8(-i)::bigint) % 199 end as user_id,
          date_trunc('milliseconds',
            now() - (${jobs}::int - i) * (interval '1 day' * ${SPAN_DAYS}::int / ${jobs}::int)) as created_at
        from generate_series(1, ${jobs}::int) i
      ) numbered
    ) described`;
  await sql`alter table jobs add primary key (id)`;
  await sql`
    insert into containers
    select container_id, user_id, 'desktop', 'stopped', 'desktop', 1280, 720, '{}', id, 'host-1', 'boot-1', 1, null,
      created_at, started_at, null, finished_at
    from jobs where kind = 'container.start' and finished_at is not null and created_at < ${storiesBefore}`;
  await sql`
    insert into job_changes
    select id, run, seq, user_id, case when seq = '' then 'queued' else state end, 0, 0, created_at
    from jobs, (values (''), ('2-0')) seqs(seq) where created_at < ${storiesBefore}`;
  await sql`
    insert into container_changes
    select id, seq, user_id, case when seq = '' then 'requested' else state end, host, fence, created_at
    from containers, (values (''), ('2-0')) seqs(seq)`;
  for (const { definition } of indices) await sql.unsafe(definition);
  for (const table of TABLES) await sql.unsafe(`vacuum analyze ${table}`);
}
