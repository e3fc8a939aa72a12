import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { waitFor } from '../../quality/testing/wait.ts';
import { pooledUrl } from '../pooler/urls.ts';
import { openLogs } from './logs.ts';
import { planParts } from './parts.ts';
import { reservePorts } from './ports.ts';
import { born, type ProcessId } from './processes.ts';
import { loadSecrets } from './secrets.ts';
import { readSettings } from './settings.ts';
import { openStateDir } from './state.ts';
import { Supervisor } from './supervisor.ts';
import { findTool } from './tools.ts';
import { stackUrls } from './urls.ts';

const ROOT = join(import.meta.dirname, '../../..');
const WITHIN_MS = 120_000;
let parent: string;
let ends: (() => Promise<unknown>)[];
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'warmwind-stack-'));
  ends = [];
});
afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  rmSync(parent, { recursive: true, force: true });
});

/** The parts that the stack would start with this environment. */
async function plan(env: Record<string, string> = {}, pgbouncer = findTool('pgbouncer')) {
  const dir = openStateDir(join(parent, 'state'));
  const settings = readSettings({ PATH: process.env.PATH, ...env }, ROOT);
  const secrets = loadSecrets(dir, settings);
  const ports = await reservePorts(settings);
  ends.push(() => Promise.all(Object.values(ports).map(({ release }) => release())));
  const context = { root: ROOT, dir, settings, secrets, ports, redisServer: '', nginx: undefined, pgbouncer };
  return { dir, parts: planParts(context), urls: stackUrls(context) };
}

/** Runs the stack's PostgreSQL and pooler once, from start to stop. */
async function up() {
  const { dir, parts, urls } = await plan();
  const output: string[] = [];
  let processes: Record<string, ProcessId> = {};
  openLogs(dir.file('logs'));
  const supervisor = new Supervisor({
    cwd: dir.path,
    logs: dir.file('logs'),
    report: (_, text) => output.push(text),
    changed: (now) => {
      processes = now;
    },
  });
  const { postgres: part, pooler } = parts;
  const url = urls.ledger;
  if (!part || !pooler || !url) throw new Error('no ledger is planned');
  const notices: (string | undefined)[] = [];
  const onnotice = ({ message }: postgres.Notice) => notices.push(message);
  const sql = postgres(url, { max: 1, connect_timeout: 3, onnotice });
  let ended: Promise<void> | undefined;
  const down = () => {
    ended ??= sql.end({ timeout: 0 }).then(() => supervisor.stop(['pooler', 'postgres']));
    return ended;
  };
  ends.push(down);
  await supervisor.start(part);
  const startPooler = async () => {
    await supervisor.start(pooler);
    const pooled = postgres(pooledUrl('LEDGER_URL', url, urls.pooler ?? ''), {
      max: 1,
      connect_timeout: 3,
      prepare: false,
    });
    ends.push(() => pooled.end({ timeout: 0 }));
    return pooled;
  };
  const log = (name = 'postgres') => readFileSync(join(dir.file('logs'), `${name}.log`), 'utf8');
  const pid = (name = 'postgres') => processes[name]?.pid ?? 0;
  return { dir, sql, notices, output, down, log, pid, startPooler };
}

it('what is in the ledger outlives the stack, and the loss of its secrets', {
  timeout: WITHIN_MS,
}, async () => {
  const first = await up();
  await first.sql`create table kept (at int)`;
  await first.sql`insert into kept values (7)`;
  await first.down();
  expect(first.log()).toContain('database system is shut down');

  const second = await up();
  expect(await second.sql`select at from kept`).toEqual([{ at: 7 }]);
  expect(second.log()).not.toContain('recovery');
  await second.down();

  second.dir.remove('secrets.json');
  const third = await up();
  expect(await third.sql`select at from kept`).toEqual([{ at: 7 }]);
});

it('a killed PostgreSQL restarts on its port with its data, despite a busy session', {
  timeout: WITHIN_MS,
}, async () => {
  const { sql, notices, output, pid, log } = await up();
  await sql`create table kept (at int)`;
  await sql`insert into kept values (7)`;
  const killed = pid();
  // A computing session does not notice that its server is gone: it would keep the data locked.
  const busy = sql`do $$ begin raise notice 'computes'; loop end loop; end $$`.catch(() => undefined);
  await waitFor('the session to compute', () => notices.includes('computes'));
  process.kill(killed, 'SIGKILL');
  await waitFor('it to be back', () => output.some((line) => line.includes('is back')), 60_000);
  expect(pid()).not.toBe(killed);
  await busy;
  expect(await sql`select at from kept`).toEqual([{ at: 7 }]);
  expect(log()).toContain('not properly shut down');
});

it('the password is in no log, no argument and no environment of server and pooler, and in files of their user only', {
  timeout: WITHIN_MS,
}, async () => {
  const { dir, pid, log, startPooler } = await up();
  const pooled = await startPooler();
  await pooled`select 1`;
  const { ledgerPassword } = loadSecrets(dir, {});
  for (const name of ['postgres', 'pooler']) {
    for (const file of ['cmdline', 'environ']) {
      expect(readFileSync(`/proc/${pid(name)}/${file}`, 'utf8')).not.toContain(ledgerPassword);
    }
    expect(log(name)).not.toContain(ledgerPassword);
  }
  expect(readFileSync(`/proc/${pid('pooler')}/status`, 'utf8')).not.toMatch(/^Uid:\t0/m);
  const { mode, uid } = statSync(dir.file('pooler'));
  expect([mode & 0o777, uid]).toEqual([0o700, statSync(`/proc/${pid('pooler')}`).uid]);
  for (const file of readdirSync(dir.file('pooler'))) {
    expect([file, statSync(dir.file(`pooler/${file}`)).mode & 0o777]).toEqual([file, 0o600]);
  }
});

it('a killed pooler restarts on its port, its log names an outage of PostgreSQL, and it ends with the stack', {
  timeout: WITHIN_MS,
}, async () => {
  const { sql, output, pid, log, down, startPooler } = await up();
  const pooled = await startPooler();
  const answers = () =>
    pooled`select 1 as one`.then(
      (rows) => rows[0]?.one === 1,
      () => false,
    );
  await waitFor('the pooler to serve', answers);
  const killed = pid('pooler');
  process.kill(killed, 'SIGKILL');
  await waitFor('the pooler to be back', () => output.some((line) => line.includes('is back')));
  expect(pid('pooler')).not.toBe(killed);
  await waitFor('the pooler to serve again', answers);

  // A statement that runs when its server dies is refused by the pooler, however soon the server is back.
  const running = pooled`select pg_sleep(60)`.catch((error: unknown) => error);
  await waitFor('the statement to run', async () => {
    const rows = await sql`select from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active'
      and pid <> pg_backend_pid()`;
    return rows.length === 1;
  });
  process.kill(pid(), 'SIGKILL');
  expect(await running).toBeInstanceOf(Error);
  await waitFor('the log to name the outage', () => /pooler error/.test(log('pooler')));
  await waitFor('the pooler to reach the restarted server', answers, 60_000);
  const last = pid('pooler');
  await down();
  expect(born(last)).toBeUndefined();
});

it('the edge uses the ledger and its replica through the pooler, all others directly; without one, the edge does too', async () => {
  const replica = 'postgres://u:p@replica/d';
  const { parts, urls } = await plan({ LEDGER_READ_URL: replica });
  expect(parts.pooler?.url).toBe(`postgres://${urls.pooler}`);
  expect(parts.edge.env).toMatchObject({ LEDGER_POOLER: urls.pooler, LEDGER_READ_URL: replica });
  expect(parts.pooler?.env).toMatchObject({ LEDGER_URL: urls.ledger, LEDGER_READ_URL: replica });
  for (const { env } of [...parts.workers, ...parts.relays]) {
    expect(env).toMatchObject({ LEDGER_URL: urls.ledger });
    expect(env).not.toHaveProperty('LEDGER_POOLER');
  }
  for (const { parts, urls } of [await plan({ POOLER: 'off' }), await plan({}, '')]) {
    expect(parts.pooler).toBeUndefined();
    expect(parts.edge.env).toMatchObject({ LEDGER_URL: urls.ledger });
    expect(parts.edge.env).not.toHaveProperty('LEDGER_POOLER');
  }
});

it('the password of Redis is in no argument and in no line that a start prints', async () => {
  const { parts, urls } = await plan({});
  const password = new URL(urls.redisQueue).password;
  expect(password).toMatch(/^[0-9a-f]{64}$/);
  const all = [
    parts.gateway,
    parts.edge,
    parts.redisQueue,
    parts.redisRealtime,
    ...parts.relays,
    ...parts.workers,
  ];
  for (const { url, args } of all) expect(`${url} ${args.join(' ')}`).not.toContain(password);
});

it('LEDGER=off plans no PostgreSQL, and edge and workers get no URL of one', async () => {
  const { parts, urls } = await plan({ LEDGER: 'off', LEDGER_URL: 'postgres://u:p@h/d' });
  expect(parts.postgres).toBeUndefined();
  expect(urls.ledger).toBeUndefined();
  for (const { env } of [parts.edge, ...parts.workers]) {
    expect(env).toMatchObject({ LEDGER: 'off' });
    expect(env).not.toHaveProperty('LEDGER_URL');
  }
});

it('another PostgreSQL is used instead of an own one, and only by the parts that need it', async () => {
  const LEDGER_URL = 'postgres://u:p@h/d';
  const LEDGER_READ_URL = 'postgres://u:p@replica/d';
  const { parts } = await plan({ LEDGER_URL, LEDGER_READ_URL, POOLER: 'off' });
  expect(parts.postgres).toBeUndefined();
  expect(parts.edge.env).toMatchObject({ LEDGER: 'on', LEDGER_URL, LEDGER_READ_URL });
  for (const { env } of [...parts.workers, ...parts.relays]) {
    expect(env).toMatchObject({ LEDGER: 'on', LEDGER_URL });
    expect(env).not.toHaveProperty('LEDGER_READ_URL');
  }
  for (const { env } of [parts.gateway, parts.redisQueue, parts.redisRealtime]) {
    expect(JSON.stringify(env)).not.toContain('postgres://');
  }
});
