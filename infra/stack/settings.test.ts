import { expect, it } from 'vitest';
import { readSettings } from './settings.ts';

it('a wrong variable is named with the reason and never with its value', () => {
  const env = { EDGE_PORT: 'eighty', AUTH_SECRET: 'too-short', DOCKER_SOCKET: 'docker.sock' };
  const read = () => readSettings(env, '/srv/warmwind');
  expect(read).toThrow(
    /EDGE_PORT: .*number[\s\S]*AUTH_SECRET: use at least 32 characters[\s\S]*DOCKER_SOCKET/,
  );
  expect(read).not.toThrow(/too-short/);
});

it('secrets are not handed on to every part', () => {
  const secret = 'x'.repeat(32);
  const { inherited, AUTH_SECRET } = readSettings(
    { AUTH_SECRET: secret, RATE_LIMITS: '{}' },
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
