import { expect, it } from 'vitest';
import { DESK_TINY } from '../model-server/config.ts';
import { readSettings } from './settings.ts';

it('a wrong variable is named with the reason and never with its value', () => {
  const env = {
    EDGE_PORT: 'eighty',
    AUTH_SECRET: 'too-short',
    DOCKER_SOCKET: 'docker.sock',
    LEDGER_URL: 'mysql://u:hidden@h/d',
  };
  const read = () => readSettings(env, '/srv/warmwind');
  expect(read).toThrow(
    /EDGE_PORT: .*number[\s\S]*AUTH_SECRET: use at least 32 characters[\s\S]*DOCKER_SOCKET[\s\S]*LEDGER_URL: use postgres/,
  );
  expect(read).not.toThrow(/too-short|hidden/);
});

it('a MODEL_PATH that is no GGUF file is refused with what to do', () => {
  const read = (MODEL_PATH: string) => readSettings({ MODEL_PATH }, '/srv/warmwind').MODEL_PATH;
  for (const path of ['/nowhere/model.gguf', import.meta.dirname, import.meta.filename]) {
    expect(() => read(path)).toThrow(/MODEL_PATH: there is no GGUF file: correct the path/);
  }
  expect(read(DESK_TINY)).toBe(DESK_TINY);
});

it('secrets are not passed to every part', () => {
  const secret = 'x'.repeat(32);
  const { inherited, AUTH_SECRET } = readSettings(
    { AUTH_SECRET: secret, RATE_LIMITS: '{}', LEDGER_URL: 'postgres://a', LEDGER_READ_URL: 'postgres://b' },
    '/srv/warmwind',
  );
  expect(AUTH_SECRET).toBe(secret);
  expect(inherited).toEqual({ RATE_LIMITS: '{}' });
});

it('the engine is that of DOCKER_SOCKET, else that of DOCKER_HOST, else the usual one', () => {
  const socket = (env: NodeJS.ProcessEnv) => readSettings(env, '/srv/warmwind').DOCKER_SOCKET;
  expect(socket({ DOCKER_SOCKET: '/a.sock', DOCKER_HOST: 'unix:///b.sock' })).toBe('/a.sock');
  expect(socket({ DOCKER_HOST: 'unix:///b.sock' })).toBe('/b.sock');
  expect(socket({ DOCKER_HOST: 'tcp://127.0.0.1:2375' })).toBe('/var/run/docker.sock');
  expect(socket({})).toBe('/var/run/docker.sock');
});

it('an empty variable counts as unset', () => {
  expect(readSettings({ EDGE_PORT: '' }, '/srv/warmwind').EDGE_PORT).toBeUndefined();
});
