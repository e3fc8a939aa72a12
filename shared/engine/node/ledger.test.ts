import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostgres, type TestPostgres } from '../../../infra/quality/testing/postgres.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { createLog } from '../../runtime/node/log.ts';
import { Ledger, LedgerUnavailableError } from './ledger.ts';

let postgres: TestPostgres;
let ledger: Ledger;

beforeAll(async () => {
  postgres = await startPostgres();
  const log = createLog('test');
  log.level = 'silent';
  ledger = new Ledger(postgres.url, 'test', log);
});
afterAll(async () => {
  await ledger?.close();
  await postgres?.stop();
});

const one = sql`select 1`;
const isBack = () =>
  waitFor('the ledger', () =>
    ledger
      .run((db) => db.execute(one))
      .then(
        () => true,
        () => false,
      ),
  );

test.each(['between two statements', 'under a statement'])(
  'when PostgreSQL is killed in a transaction, %s, the work rejects with LedgerUnavailableError and nothing is written',
  async (when) => {
    const work = ledger.run((db) =>
      db.transaction(async (tx) => {
        await tx.execute(one);
        if (when === 'under a statement') {
          await Promise.all([tx.execute(sql`select pg_sleep(5)`), postgres.kill()]);
        } else {
          await postgres.kill();
        }
        await tx.execute(sql`create table astray (id int)`);
      }),
    );
    await expect(work).rejects.toThrow(LedgerUnavailableError);
    await postgres.restart();
    await isBack();
    const found = await ledger.run((db) => db.execute(sql`select to_regclass('astray') as name`));
    expect(found[0]).toEqual({ name: null });
  },
);

test('a transaction whose work throws is rolled back, and the next query succeeds', async () => {
  const work = ledger.run((db) =>
    db.transaction(async (tx) => {
      await tx.execute(sql`create table undone (id int)`);
      throw new RangeError('changed my mind');
    }),
  );
  await expect(work).rejects.toThrow(RangeError);
  const found = await ledger.run((db) => db.execute(sql`select to_regclass('undone') as name`));
  expect(found[0]).toEqual({ name: null });
});
