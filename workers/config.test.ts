import { expect, test } from 'vitest';
import { readConfig } from './config.ts';

const env = {
  REDIS_QUEUE_URL: 'redis://127.0.0.1',
  REDIS_REALTIME_URL: 'redis://127.0.0.1',
  WORKER_HOST: 'a',
  FLEET: 'f',
  WEBHOOK_SECRET: 'x'.repeat(32),
};

test('a worker needs LEDGER_URL unless LEDGER is off', () => {
  expect(() => readConfig(env)).toThrow('LEDGER_URL: required unless LEDGER is off');
  expect(readConfig({ ...env, LEDGER: 'off' })).toMatchObject({ LEDGER: 'off' });
  expect(readConfig({ ...env, LEDGER_URL: 'postgres://127.0.0.1/w' })).toMatchObject({ LEDGER: 'on' });
});

test('an empty variable counts as absent', () => {
  const { ALERT_WEBHOOK_URL, EGRESS_NETWORK } = readConfig({
    ...env,
    LEDGER: 'off',
    ALERT_WEBHOOK_URL: '',
    EGRESS_NETWORK: '',
  });
  expect([ALERT_WEBHOOK_URL, EGRESS_NETWORK]).toEqual([undefined, undefined]);
});

test('an invalid address is named, and its value is never quoted', () => {
  for (const LEDGER_URL of ['mysql://u:hunter2@h/d', 'hunter2', 'postgres://u:hunter2@h:port/d']) {
    const read = () => readConfig({ ...env, LEDGER_URL });
    expect(read).toThrow('LEDGER_URL: ');
    expect(read).not.toThrow('hunter2');
  }
});

test('addresses of model servers with a path or a key are refused', () => {
  const read = (MODEL_SERVERS: string) => readConfig({ ...env, LEDGER: 'off', MODEL_SERVERS }).MODEL_SERVERS;
  expect(readConfig({ ...env, LEDGER: 'off' }).MODEL_SERVERS).toEqual([]);
  expect(read('http://127.0.0.1:8000, https://gpu.example/v1/,')).toEqual([
    'http://127.0.0.1:8000',
    'https://gpu.example',
  ]);
  for (const wrong of [
    'gpu:8000',
    'ftp://gpu',
    'http://gpu/api',
    'http://u:hunter2@gpu',
    'http://gpu/?k=hunter2',
  ]) {
    expect(() => read(wrong)).toThrow('MODEL_SERVERS');
    expect(() => read(wrong)).not.toThrow('hunter2');
  }
});

test('WEBHOOK_SECRET must be long, and ADMIN_PORT requires ADMIN_PASSWORD', () => {
  const off = { ...env, LEDGER: 'off' };
  expect(() => readConfig({ ...off, WEBHOOK_SECRET: 'short' })).toThrow('WEBHOOK_SECRET: ');
  expect(() => readConfig({ ...off, WEBHOOK_ALLOW: '10.0.0.0/8, all' })).toThrow('WEBHOOK_ALLOW: ');
  expect(readConfig({ ...off, WEBHOOK_ALLOW: '10.0.0.0/8, ::1/128' }).WEBHOOK_ALLOW).toHaveLength(2);
  expect(() => readConfig({ ...off, ADMIN_PORT: '0' })).toThrow('ADMIN_PASSWORD: required');
  expect(() => readConfig({ ...off, ADMIN_PORT: '0', ADMIN_PASSWORD: 'short' })).toThrow('ADMIN_PASSWORD: ');
});
