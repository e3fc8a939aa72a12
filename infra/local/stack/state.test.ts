import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadSecrets, makeTokens } from './secrets.ts';
import { lock, openStateDir } from './state.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'warmwind-state-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

it('only its owner can read the files of the stack', () => {
  const dir = openStateDir(join(parent, 'state'));
  dir.write('stack.json', { edge: 'http://127.0.0.1:1' });
  expect(statSync(dir.path).mode & 0o777).toBe(0o700);
  expect(statSync(dir.file('stack.json')).mode & 0o777).toBe(0o600);
  expect(dir.read('stack.json')).toEqual({ edge: 'http://127.0.0.1:1' });
});

it('a folder is held once, and folders do not hinder each other', async () => {
  const [one, two] = [openStateDir(join(parent, 'one')), openStateDir(join(parent, 'two'))];
  expect(one.fleet).not.toBe(two.fleet);
  expect(await lock(one)).toBe(true);
  expect(await lock(one)).toBe(false);
  expect(await lock(two)).toBe(true);
});

it('secrets are made once, so that tokens outlive a restart; the environment overrides them', async () => {
  const dir = openStateDir(join(parent, 'state'));
  const made = loadSecrets(dir, {});
  expect(loadSecrets(dir, {})).toEqual(made);
  expect(loadSecrets(dir, { AUTH_SECRET: 'given' }).authSecret).toBe('given');
  const { user, other, admin } = await makeTokens(made.authSecret);
  expect(new Set([user, other, admin]).size).toBe(3);
});
