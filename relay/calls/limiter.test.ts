import { RateLimitsConfig } from '@warmwind/shared/contract/limits';
import { setUserLimits } from '@warmwind/shared/engine/scripts/user-limits.lua';
import { setLimitsArgs } from '@warmwind/shared/engine/user-limits';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../infra/quality/testing/redis.ts';
import { CallLimiter } from './limiter.ts';

let redis: TestRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis?.stop());

test('calls by the socket have the latest limits of their user', async () => {
  const limits = RateLimitsConfig.parse({ 'containers.actions': ['2/min'] });
  const limiter = new CallLimiter(redis.client, limits);
  const charge = (user: string) => limiter.charge(user, ['containers.actions']);
  const own = { rateLimits: { 'containers.actions': ['1/min'] } };
  await runScript(
    redis.client,
    setUserLimits,
    { userId: 'ada' },
    setLimitsArgs({ limits: own, at: 1, by: 'root' }),
  );
  await charge('ada');
  await expect(charge('ada')).rejects.toMatchObject({ code: 'rate_limited' });
  await charge('bob');
  await charge('bob');
  await expect(charge('bob')).rejects.toMatchObject({ code: 'rate_limited' });
  const lifted = { rateLimits: { 'containers.actions': [] } };
  await runScript(
    redis.client,
    setUserLimits,
    { userId: 'ada' },
    setLimitsArgs({ limits: lifted, at: 2, by: 'root' }),
  );
  const late = setLimitsArgs({ limits: own, at: 1, by: 'root' });
  expect(await runScript(redis.client, setUserLimits, { userId: 'ada' }, late)).toEqual(['kept', '2']);
  for (let i = 0; i < 5; i += 1) await charge('ada');
});
