import { describe, expect, test } from 'vitest';
import { readConfig } from './config.ts';

const LEAST = {
  UPSTASH_REDIS_REST_URL: 'https://redis.test/',
  UPSTASH_REDIS_REST_TOKEN: 'token',
  AUTH_SECRET: 'x'.repeat(32),
  WEBHOOK_SECRET: 'y'.repeat(32),
  RELAY_URL: 'https://relay.test/',
  LEDGER_DB: { connectionString: 'postgres://ledger.test/warmwind' },
};

describe('the configuration', () => {
  test('has a default for all but its addresses and secrets', () => {
    expect(readConfig(LEAST)).toMatchObject({
      UPSTASH_REDIS_REST_URL: 'https://redis.test',
      RELAY_URL: 'https://relay.test',
      CORS_ORIGINS: [],
      TRUSTED_PROXIES: [],
      DESKTOP_IMAGES: { desktop: 'warmwind/desktop:latest' },
      DESKTOP_NETWORKS: ['none'],
      MAX_GPUS: 0,
      LIMITER_TIMEOUT_MS: 300,
      QUOTAS: { jobs: 1000, desktops: 20 },
      LEDGER: 'on',
      LEDGER_MAX_LAG_MS: 2000,
    });
  });

  test('counts an empty variable as absent', () => {
    const { RATE_LIMITS: _, ...rest } = readConfig(LEAST);
    expect(
      readConfig({ ...LEAST, RATE_LIMITS: '', MAX_GPUS: '', AUTH_JWKS_URL: '', LEDGER: '' }),
    ).toMatchObject(rest);
  });

  test.each([
    ['AUTH_SECRET', 'a-short-secret'],
    ['AUTH_SECRET_PREVIOUS', 'a-short-secret'],
    ['WEBHOOK_SECRET', 'a-short-secret'],
    ['UPSTASH_REDIS_REST_URL', 'redis://elsewhere'],
    ['RATE_LIMITS', '{"user": ["10/day"]}'],
    ['RATE_LIMITS', 'not-json'],
    ['QUOTAS', '{"desktops": 0}'],
    ['DESKTOP_IMAGES', '{}'],
    ['DESKTOP_NETWORKS', 'host'],
    ['MAX_GPUS', '9'],
    ['CORS_ORIGINS', 'nonsense'],
    ['CORS_ORIGINS', 'https://console.test, console.test'],
    ['CORS_ORIGINS', 'https://console.test/page'],
    ['CORS_ORIGINS', 'https://user@console.test'],
    ['CORS_ORIGINS', 'ftp://console.test'],
    ['CORS_ORIGINS', 'https://*.console.test'],
    ['TRUSTED_PROXIES', '10.0.0.0/8, everyone'],
    ['LIMITER_TIMEOUT_MS', 'soon'],
    ['LEDGER', 'maybe'],
    ['LEDGER_DB', 'mysql://elsewhere'],
    ['LEDGER_MAX_LAG_MS', 'little'],
  ])('names %s when it is wrong, and does not repeat its value', (name, value) => {
    const read = () => readConfig({ ...LEAST, [name]: value });
    expect(read).toThrow(name);
    expect(read).not.toThrow(value);
  });

  test('requires a ledger unless it is switched off, and explains how', () => {
    const { LEDGER_DB: _, ...without } = LEAST;
    expect(() => readConfig(without)).toThrow('LEDGER=off');
    expect(readConfig({ ...without, LEDGER: 'off' }).LEDGER).toBe('off');
  });

  test('accepts a ledger as a binding, which is not read yet, or as a URL', () => {
    const binding = {
      get connectionString(): string {
        throw new Error('read outside of a request');
      },
    };
    expect(readConfig({ ...LEAST, LEDGER_DB: binding }).LEDGER_DB).toBe(binding);
    const url = 'postgres://ledger.test/warmwind';
    expect(readConfig({ ...LEAST, LEDGER_DB: url }).LEDGER_DB).toEqual({ connectionString: url });
  });

  test.each(Object.keys(LEAST))('names %s when it is missing', (name) => {
    expect(() => readConfig({ ...LEAST, [name]: undefined })).toThrow(name);
  });
});
