import { and, desc, eq, gte, inArray, lt, or, type SQL, sql } from 'drizzle-orm';
import type { JobKind, JobState } from '../../contract/jobs.ts';
import type { Labels } from '../../contract/labels.ts';
import { ENDING_KINDS } from '../../contract/registry.ts';
import type { Db } from './db.ts';
import type { ContainerRow, JobRow } from './rows.ts';
import { containers, heartbeat, idempotencyKeys, jobInputs, jobs } from './schema.ts';

/**
 * A page of a user's rows, newest first: created in `[since, until)`, and older than `before`, the last one
 * seen.
 */
export type Page = {
  userId: string;
  since: Date | undefined;
  until: Date | undefined;
  before: { createdAt: Date; id: string } | undefined;
  limit: number;
};

/** The filters of a list by columns: an undefined one matches everything. */
type ColumnFilters<F> = { [Name in keyof F]?: F[Name] | undefined };

export async function readJob(db: Db, userId: string, id: string): Promise<JobRow | undefined> {
  const [row] = await db
    .select()
    .from(jobs)
    .where(and(eq(jobs.id, id), eq(jobs.userId, userId)));
  return row;
}

export async function readContainer(db: Db, userId: string, id: string): Promise<ContainerRow | undefined> {
  const [row] = await db
    .select()
    .from(containers)
    .where(and(eq(containers.id, id), eq(containers.userId, userId)));
  return row;
}

export const readContainers = (db: Db, userId: string, ids: string[]): Promise<ContainerRow[]> =>
  db
    .select()
    .from(containers)
    .where(and(inArray(containers.id, ids), eq(containers.userId, userId)));

/** Open containers with these instances of the engine. Containers of earlier releases have no instance id. */
export const containersOfInstances = (db: Db, instanceIds: string[]): Promise<ContainerRow[]> =>
  db
    .select()
    .from(containers)
    .where(and(inArray(containers.instanceId, instanceIds), sql`${containers.endedAt} is null`));

export const listJobs = (
  db: Db,
  page: Page,
  { state, kind }: ColumnFilters<{ state: JobState; kind: JobKind }>,
  labels: Labels = {},
): Promise<JobRow[]> =>
  db
    .select()
    .from(jobs)
    .where(
      and(
        inPage(jobs, page),
        state && eq(jobs.state, state),
        kind && eq(jobs.kind, kind),
        ...labelled(jobs, labels),
      ),
    )
    .orderBy(desc(jobs.createdAt), desc(jobs.id))
    .limit(page.limit);

export const listContainers = (
  db: Db,
  page: Page,
  { state, name, image, host }: ColumnFilters<Pick<ContainerRow, 'state' | 'name' | 'image' | 'host'>>,
  labels: Labels = {},
): Promise<ContainerRow[]> =>
  db
    .select()
    .from(containers)
    .where(
      and(
        inPage(containers, page),
        state && eq(containers.state, state),
        name === undefined ? undefined : eq(containers.name, name),
        image === undefined ? undefined : eq(containers.image, image),
        host === undefined ? undefined : eq(containers.host, host),
        ...labelled(containers, labels),
      ),
    )
    .orderBy(desc(containers.createdAt), desc(containers.id))
    .limit(page.limit);

/** The labels that a row must have. */
const labelled = (table: typeof jobs | typeof containers, labels: Labels): SQL[] =>
  Object.entries(labels).map(([key, value]) => sql`${table.labels} ->> ${key} = ${value}`);

function inPage(table: typeof jobs | typeof containers, { userId, since, until, before }: Page) {
  return and(
    eq(table.userId, userId),
    since && gte(table.createdAt, since),
    until && lt(table.createdAt, until),
    before &&
      sql`(${table.createdAt}, ${table.id}) < (${before.createdAt.toISOString()}::timestamptz, ${before.id})`,
  );
}

/** Jobs that have not ended and were created in `[.., until)`, oldest first, after the last one seen. */
export const openJobs = (
  db: Db,
  until: Date,
  after: { createdAt: Date; id: string } | undefined,
  limit: number,
): Promise<JobRow[]> =>
  db
    .select()
    .from(jobs)
    .where(
      and(
        sql`${jobs.finishedAt} is null`,
        lt(jobs.createdAt, until),
        after &&
          sql`(${jobs.createdAt}, ${jobs.id}) > (${after.createdAt.toISOString()}::timestamptz, ${after.id})`,
      ),
    )
    .orderBy(jobs.createdAt, jobs.id)
    .limit(limit);

/** The same of desktops. */
export const openContainers = (
  db: Db,
  until: Date,
  after: { createdAt: Date; id: string } | undefined,
  limit: number,
): Promise<ContainerRow[]> =>
  db
    .select()
    .from(containers)
    .where(
      and(
        sql`${containers.endedAt} is null`,
        lt(containers.createdAt, until),
        after &&
          sql`(${containers.createdAt}, ${containers.id}) > (${after.createdAt.toISOString()}::timestamptz, ${after.id})`,
      ),
    )
    .orderBy(containers.createdAt, containers.id)
    .limit(limit);

/** Jobs that ended after the last one seen, the first to end first. */
export const endedJobs = (
  db: Db,
  after: { finishedAt: Date; id: string },
  limit: number,
): Promise<JobRow[]> =>
  db
    .select()
    .from(jobs)
    .where(
      and(
        // PostgreSQL chooses the index by this condition only.
        gte(jobs.finishedAt, after.finishedAt),
        sql`(${jobs.finishedAt}, ${jobs.id}) > (${after.finishedAt.toISOString()}::timestamptz, ${after.id})`,
      ),
    )
    .orderBy(jobs.finishedAt, jobs.id)
    .limit(limit);

export const jobsById = (db: Db, ids: string[]): Promise<JobRow[]> =>
  db.select().from(jobs).where(inArray(jobs.id, ids));

export const containersById = (db: Db, ids: string[]): Promise<ContainerRow[]> =>
  db.select().from(containers).where(inArray(containers.id, ids));

/** The input of a job, where it is kept apart from the row. */
export async function readInput(db: Db, userId: string, jobId: string): Promise<string | undefined> {
  const [row] = await db
    .select({ input: jobInputs.input })
    .from(jobInputs)
    .where(and(eq(jobInputs.jobId, jobId), eq(jobInputs.userId, userId)));
  return row?.input;
}

/** The idempotency keys that these jobs were submitted with. */
export const idempotencyKeysOf = (
  db: Db,
  jobIds: string[],
): Promise<(typeof idempotencyKeys.$inferSelect)[]> =>
  db.select().from(idempotencyKeys).where(inArray(idempotencyKeys.jobId, jobIds));

/** Writes the heartbeat of the primary, for `readLag`. */
export async function beat(db: Db): Promise<void> {
  await db
    .insert(heartbeat)
    .values({ id: 1, at: sql`clock_timestamp()` })
    .onConflictDoUpdate({ target: heartbeat.id, set: { at: sql`clock_timestamp()` } });
}

/** The age of the last heartbeat on this server, ms by its own clock; Infinity when there is none. */
export async function readLag(db: Db): Promise<number> {
  const [row] = await db
    .select({ lag: sql<number>`(extract(epoch from clock_timestamp() - ${heartbeat.at}) * 1000)::float8` })
    .from(heartbeat);
  return row?.lag ?? Number.POSITIVE_INFINITY;
}

/** The jobs of a desktop that determine its state: its completed start, and its latest stop. */
export type DesktopJobs = { started: JobRow | undefined; stop: JobRow | undefined };

/** The jobs of open desktops, by the desktop's id. */
export async function jobsOfContainers(
  db: Db,
  desktops: Pick<ContainerRow, 'id' | 'userId' | 'jobId'>[],
): Promise<Map<string, DesktopJobs>> {
  if (desktops.length === 0) return new Map();
  const distinct = (values: string[]) => [...new Set(values)];
  const rows = await db
    .select()
    .from(jobs)
    .where(
      or(
        and(
          inArray(
            jobs.id,
            desktops.map(({ jobId }) => jobId),
          ),
          eq(jobs.state, 'completed'),
        ),
        and(
          inArray(jobs.userId, distinct(desktops.map(({ userId }) => userId))),
          inArray(jobs.kind, ENDING_KINDS),
          inArray(
            jobs.containerId,
            desktops.map(({ id }) => id),
          ),
        ),
      ),
    )
    .orderBy(jobs.createdAt);
  return new Map(
    desktops.map(({ id, jobId }) => [
      id,
      {
        started: rows.find((row) => row.id === jobId && row.containerId === id),
        stop: rows.findLast((row) => row.containerId === id && ENDING_KINDS.includes(row.kind)),
      },
    ]),
  );
}
