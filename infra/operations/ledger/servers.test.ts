import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findServers } from './servers.ts';
import { ownFolder } from './testing.ts';

const STACK = { ledger: { url: 'postgres://stack' }, redis: { queue: 'redis://q', realtime: 'redis://r' } };
const ALL = ['ledger', 'queue', 'realtime'] as const;
let dir: string;
beforeEach(async () => {
  dir = await ownFolder();
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const running = (stack: unknown = STACK) => writeFile(join(dir, 'stack.json'), JSON.stringify(stack));
const find = (env: Record<string, string> = {}, names: readonly (typeof ALL)[number][] = ALL) =>
  findServers(names, { WARMWIND_DIR: dir, ...env });

test('the environment names the servers, else the running stack', async () => {
  const env = { LEDGER_URL: 'postgres://e', REDIS_QUEUE_URL: 'redis://eq', REDIS_REALTIME_URL: 'redis://er' };
  const given = { ledger: 'postgres://e', queue: 'redis://eq', realtime: 'redis://er' };
  expect(find(env)).toEqual(given);
  await running();
  expect(find(env)).toEqual(given);
  expect(find()).toEqual({ ledger: 'postgres://stack', queue: 'redis://q', realtime: 'redis://r' });
  expect(find({ LEDGER_URL: 'postgres://stack' }).queue).toBe('redis://q');
});

test('without either the error names the variables to set', async () => {
  expect(() => find({ REDIS_QUEUE_URL: 'redis://eq' })).toThrow('Set LEDGER_URL and REDIS_REALTIME_URL');
  expect(() => find({ LEDGER_URL: '' }, ['ledger'])).toThrow('Set LEDGER_URL');
  await running({ redis: STACK.redis });
  expect(() => find({}, ['ledger'])).toThrow('Set LEDGER_URL');
});

test('servers of two systems are never mixed, and the refusal shows no secret', async () => {
  await running();
  const mixed = () => find({ LEDGER_URL: 'postgres://u:secret@other' });
  expect(mixed).toThrow('set REDIS_QUEUE_URL and REDIS_REALTIME_URL too');
  expect(mixed).not.toThrow('secret');
});
