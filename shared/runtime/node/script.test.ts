import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ZodError, z } from 'zod';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { defineScript } from '../../engine/script.ts';
import { jsonText } from '../json.ts';
import { runScript } from './script.ts';

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

const echo = (answer: z.ZodType = z.array(z.string())) =>
  defineScript({
    lua: `local all = {'${randomUUID()}', KEYS[1], KEYS[2]} for _, v in ipairs(ARGV) do all[#all + 1] = v end return all`,
    keys: ({ user }: { user: string }) => [`{${user}}:a`, `{${user}}:b`],
    args: z.object({ count: z.number(), fence: z.number().optional(), name: z.string() }),
    answer,
  });

test('arguments go to Redis in the order of the definition, not in that of the caller', async () => {
  const answer = await runScript(redis.client, echo(), { user: 'ann' }, { name: 'n', count: 3 }, [
    'field',
    7,
  ]);
  expect((answer as string[]).slice(1)).toEqual(['{ann}:a', '{ann}:b', '3', '', 'n', 'field', '7']);
});

test('a script is loaded again when Redis has lost it', async () => {
  const script = echo();
  const run = () => runScript(redis.client, script, { user: 'ann' }, { name: 'n', count: 3 });
  const first = await run();
  await redis.client.script('FLUSH');
  expect(await run()).toEqual(first);
});

test('an argument of another type is refused', async () => {
  const args = { name: 'n', count: '3' as unknown as number };
  const run = runScript(redis.client, echo(), { user: 'ann' }, args);
  await expect(run).rejects.toBeInstanceOf(ZodError);
});

test('an answer of another shape is refused', async () => {
  const run = runScript(redis.client, echo(z.number()), { user: 'ann' }, { name: 'n', count: 3 });
  await expect(run).rejects.toBeInstanceOf(ZodError);
});

test('an answer in JSON is parsed and validated', async () => {
  const parsed = (json: string) =>
    defineScript({
      lua: `return '${json}'`,
      keys: () => [],
      args: z.object({}),
      answer: jsonText(z.object({ verdict: z.literal('ok') })),
    });
  const run = (json: string) => runScript(redis.client, parsed(json), undefined, {});
  expect(await run('{"verdict":"ok"}')).toEqual({ verdict: 'ok' });
  await expect(run('{"verdict":"no"}')).rejects.toBeInstanceOf(ZodError);
  await expect(run('{')).rejects.toBeInstanceOf(ZodError);
});
