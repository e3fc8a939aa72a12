import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { CONTAINER_STATES, ENDED_CONTAINER_STATES, hasEnded } from '../../contract/containers.ts';
import { isTerminal, JOB_STATES, TERMINAL_JOB_STATES, UNSUCCESSFUL_JOB_STATES } from '../../contract/jobs.ts';
import { statesLua } from './states.lua.ts';

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

const inLua = async (name: string, state: string): Promise<boolean> =>
  (await redis.client.eval(`${statesLua} return ${name}(ARGV[1]) and 1 or 0`, 0, state)) === 1;

test('Lua and TypeScript agree on every state', async () => {
  for (const state of JOB_STATES) {
    expect(await inLua('is_terminal', state), state).toBe(isTerminal(state));
    expect(await inLua('is_unsuccessful', state), state).toBe(isTerminal(state) && state !== 'completed');
  }
  for (const state of CONTAINER_STATES) expect(await inLua('has_ended', state), state).toBe(hasEnded(state));
});

const ROOT = join(import.meta.dirname, '../../..');
const SPELLED_IN = ['shared/contract/jobs.ts', 'shared/contract/containers.ts'];
const lists = [TERMINAL_JOB_STATES, UNSUCCESSFUL_JOB_STATES, ENDED_CONTAINER_STATES];

const sources = ['shared', 'edge', 'relay', 'workers'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && !/\.test\.ts$|testing\/|node_modules|dist\//.test(name))
    .map((name) => join(folder, name)),
);

test('the states that end a job or container are listed in one place', () => {
  const spelled = sources.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, i) =>
        lists.some((list) => list.every((state) => quotes(line, state))) ? [`${file}:${i + 1}`] : [],
      ),
  );
  expect(spelled.filter((place) => !SPELLED_IN.some((file) => place.startsWith(`${file}:`)))).toEqual([]);
});

const quotes = (line: string, state: string): boolean => new RegExp(`'(?:job\\.)?${state}'`).test(line);
