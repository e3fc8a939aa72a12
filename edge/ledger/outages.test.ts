import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestEdge, type TestEdge } from '../../infra/local/edge/testing.ts';
import { plannedRandom } from '../../infra/quality/testing/random.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { emptyStores, waiting } from '../testing/stores.ts';

/** An outage of a part between edge and disk, and its end. */
type Outage = { name: string; interrupt: (edge: TestEdge) => unknown; restore: (edge: TestEdge) => unknown };

const POSTGRES: Outage[] = [
  {
    name: 'PostgreSQL is killed',
    interrupt: ({ postgres }) => postgres.kill(),
    restore: ({ postgres }) => postgres.restart(),
  },
  {
    name: 'PostgreSQL is frozen',
    interrupt: ({ postgres }) => postgres.freeze(),
    restore: ({ postgres }) => postgres.thaw(),
  },
];
const POOLER: Outage[] = [
  {
    name: 'the pooler is killed',
    interrupt: ({ pooler }) => pooler.kill(),
    restore: ({ pooler }) => pooler.restart(),
  },
  {
    name: 'the pooler is frozen',
    interrupt: ({ pooler }) => pooler.freeze(),
    restore: ({ pooler }) => pooler.thaw(),
  },
];
const CLIENTS = 4;

describe.each([
  { path: 'through a pooler', pooled: true, outages: [...POSTGRES, ...POOLER] },
  { path: 'without a pooler', pooled: false, outages: POSTGRES },
])('the ledger $path', ({ pooled, outages }) => {
  let edge: TestEdge;
  beforeAll(async () => {
    edge = await startTestEdge(
      {
        RATE_LIMITS: '{"user": [], "containers.start": []}',
        QUOTAS: '{"jobs": 1000000, "desktops": 10000}',
        SUBMIT_TIMEOUT_MS: '700',
      },
      { pooled },
    );
  });
  afterAll(() => edge?.stop());
  beforeEach(() => emptyStores(edge));

  const submit = (key: string) =>
    edge.call('ada', 'POST', '/containers/start', { headers: { 'Idempotency-Key': key } });
  const ready = async () => (await edge.call('ada', 'GET', '/health/ready')).status;

  test('a 202 is recorded, once, whatever fails in whichever order; readiness reports it', async () => {
    const random = plannedRandom();
    const accepted = new Map<string, unknown>();
    let unknown = 0;
    let over = false;
    /** Submits with one key until it is accepted, as a client does that receives 503, then with the next. */
    const client = async (name: number) => {
      for (let n = 0; !over; n++) {
        const key = `${name}-${n}`;
        for (;;) {
          const { status, body } = await submit(key);
          if (status === 202) {
            accepted.set(key, body.jobId);
            break;
          }
          expect([status, body.code]).toEqual([503, 'unavailable']);
          unknown++;
        }
      }
    };
    const clients = Promise.all(Array.from({ length: CLIENTS }, (_, name) => client(name)));
    try {
      const planned = [...outages].sort(() => random.next() - 0.5);
      for (const { name, interrupt, restore } of planned) {
        await waitFor(`submissions before ${name}`, served(accepted));
        const before = unknown;
        await interrupt(edge);
        try {
          await waitFor(`an unknown outcome while ${name}`, () => unknown > before);
          await waitFor(`readiness to report that ${name}`, async () => (await ready()) === 503);
        } finally {
          await restore(edge);
        }
        await waitFor(`readiness after ${name}`, async () => (await ready()) === 200);
      }
      await waitFor('submissions in the end', served(accepted));
    } finally {
      over = true;
    }
    await clients;

    const ids = [...accepted.values()].sort();
    expect(new Set(ids).size).toBe(ids.length);
    const { sql } = edge.postgres;
    // Those of a key that was never accepted do not exist: each client goes on until its key is.
    expect((await sql`select id from jobs order by id`).map(({ id }) => id)).toEqual(ids);
    expect((await sql`select job_id from job_changes order by job_id`).map((row) => row.job_id)).toEqual(ids);
    expect((await sql`select job_id from idempotency_keys order by job_id`).map((row) => row.job_id)).toEqual(
      ids,
    );
    expect((await waiting(edge)).sort()).toEqual(ids);
  }, 60_000);

  /** Becomes true once further submissions were accepted. */
  function served(accepted: Map<string, unknown>): () => boolean {
    const before = accepted.size;
    return () => accepted.size >= before + CLIENTS;
  }

  test.runIf(pooled)(
    'a ledger that is slow answers 503 in time, and keeps no connection once its clients have left',
    async () => {
      const { promise: locked, resolve: isLocked } = Promise.withResolvers<void>();
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      const lock = edge.postgres.sql.begin(async (tx) => {
        await tx`lock table jobs in access exclusive mode`;
        isLocked();
        await released;
      });
      await locked;
      try {
        const answers = await Promise.all(Array.from({ length: 30 }, (_, n) => submit(`slow-${n}`)));
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
        await waitFor('abandoned statements to end', async () => {
          const [row] = await edge.postgres
            .sql`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock'`;
          return row?.n === 0;
        });
      } finally {
        release();
        await lock;
      }
      const { jobId } = await waitFor('a submission to be accepted', async () => {
        const { status, body } = await submit('slow-0');
        return status === 202 && body;
      });
      expect(
        await edge.postgres.sql`select job_id from idempotency_keys where job_id = ${String(jobId)}`,
      ).toHaveLength(1);
    },
    30_000,
  );
});
