import { and, asc, eq, gte, isNotNull, isNull, lte, sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Db } from './db.ts';
import type { ContainerRow, JobRow } from './rows.ts';
import { containers, usageDays } from './schema.ts';

/**
 * The usage of a user on one day (UTC). Seconds are counted when a job or desktop ends; running desktops up
 * to now.
 */
export const UsageDay = z
  .object({
    day: z.iso.date().describe('The day, in UTC.'),
    jobs: z.number().int().describe('Jobs that ended.'),
    queueSeconds: z.number().describe('Seconds that they waited.'),
    runSeconds: z.number().describe('Seconds that they ran.'),
    desktopSeconds: z.number().describe('Seconds that desktops ran.'),
    inputTokens: z.number().int().describe('Tokens of prompts.'),
    outputTokens: z.number().int().describe('Tokens of answers.'),
  })
  .meta({ id: 'UsageDay' });
export type UsageDay = z.infer<typeof UsageDay>;

const DAY_MS = 86_400_000;
const dayOf = (time: number): string => new Date(time).toISOString().slice(0, 10);

/** Days with any use from `since` to `until` (both included), oldest first. */
export async function readUsage(
  db: Db,
  userId: string,
  since: string,
  until: string,
  now: Date,
): Promise<UsageDay[]> {
  const [counted, running] = await Promise.all([
    db
      .select()
      .from(usageDays)
      .where(and(eq(usageDays.userId, userId), gte(usageDays.day, since), lte(usageDays.day, until)))
      .orderBy(asc(usageDays.day)),
    db
      .select({ startedAt: containers.startedAt })
      .from(containers)
      .where(and(eq(containers.userId, userId), isNull(containers.endedAt), isNotNull(containers.startedAt))),
  ]);
  const days = new Map(counted.map(({ userId: _, ...day }) => [day.day, day]));
  for (const { startedAt } of running) {
    if (!startedAt) continue;
    for (const [day, seconds] of perDay(startedAt.getTime(), now.getTime())) {
      if (day < since || day > until) continue;
      const known = days.get(day) ?? { ...NOTHING, day };
      days.set(day, { ...known, desktopSeconds: known.desktopSeconds + seconds });
    }
  }
  return [...days.values()].map(inMilliseconds).sort((a, b) => (a.day < b.day ? -1 : 1));
}

/** Rounds seconds to milliseconds: finer digits are errors of floating-point addition. */
function inMilliseconds(day: UsageDay): UsageDay {
  const { queueSeconds, runSeconds, desktopSeconds } = day;
  return {
    ...day,
    queueSeconds: rounded(queueSeconds),
    runSeconds: rounded(runSeconds),
    desktopSeconds: rounded(desktopSeconds),
  };
}

const rounded = (seconds: number): number => Math.round(seconds * 1000) / 1000;

/** Adds the usage of jobs and desktops that have just ended. */
export async function addUsage(db: Db, jobs: JobRow[], desktops: ContainerRow[]): Promise<void> {
  const days = new Map<string, UsageDay & { userId: string }>();
  const add = (userId: string, day: string, used: Partial<Omit<UsageDay, 'day'>>) => {
    const key = `${day} ${userId}`;
    const sum = days.get(key) ?? { ...NOTHING, userId, day };
    for (const name of Object.keys(NOTHING) as (keyof typeof NOTHING)[]) sum[name] += used[name] ?? 0;
    days.set(key, sum);
  };
  for (const { userId, run, createdAt, startedAt, finishedAt, result } of jobs) {
    if (!finishedAt) continue;
    const end = finishedAt.getTime();
    const start = startedAt?.getTime() ?? end;
    add(userId, dayOf(end), {
      jobs: 1,
      // Rows do not record when a later run began to wait.
      queueSeconds: run === 1 ? seconds(createdAt.getTime(), start) : 0,
      runSeconds: seconds(start, end),
      ...tokensOf(result),
    });
  }
  for (const { userId, startedAt, endedAt } of desktops) {
    if (!startedAt || !endedAt) continue;
    for (const [day, desktopSeconds] of perDay(startedAt.getTime(), endedAt.getTime())) {
      add(userId, day, { desktopSeconds });
    }
  }
  if (days.size === 0) return;
  const { jobs: jobCount, queueSeconds, runSeconds, desktopSeconds, inputTokens, outputTokens } = usageDays;
  await db
    .insert(usageDays)
    .values([...days].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, day]) => day))
    .onConflictDoUpdate({
      target: [usageDays.userId, usageDays.day],
      set: {
        jobs: sql`${jobCount} + excluded.jobs`,
        queueSeconds: sql`${queueSeconds} + excluded.queue_seconds`,
        runSeconds: sql`${runSeconds} + excluded.run_seconds`,
        desktopSeconds: sql`${desktopSeconds} + excluded.desktop_seconds`,
        inputTokens: sql`${inputTokens} + excluded.input_tokens`,
        outputTokens: sql`${outputTokens} + excluded.output_tokens`,
      },
    });
}

const NOTHING = {
  jobs: 0,
  queueSeconds: 0,
  runSeconds: 0,
  desktopSeconds: 0,
  inputTokens: 0,
  outputTokens: 0,
};

const seconds = (from: number, to: number): number => Math.max(0, to - from) / 1000;

/** Splits a span of time by the days (UTC) that it touches. */
function perDay(from: number, to: number): [day: string, seconds: number][] {
  const parts: [string, number][] = [];
  for (let start = from; start < to; ) {
    const end = Math.min(to, (Math.floor(start / DAY_MS) + 1) * DAY_MS);
    parts.push([dayOf(start), (end - start) / 1000]);
    start = end;
  }
  return parts;
}

const Tokens = z.object({
  usage: z.object({ inputTokens: z.number().int().min(0), outputTokens: z.number().int().min(0) }),
});

/** The token counts of a result, if it has them. */
function tokensOf(result: unknown): { inputTokens: number; outputTokens: number } | undefined {
  const { success, data } = Tokens.safeParse(result);
  return success ? data.usage : undefined;
}
