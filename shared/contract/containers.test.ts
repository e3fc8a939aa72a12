import { describe, expect, test } from 'vitest';
import { containerFromRecord, StartContainer } from './containers.ts';

describe('the body of POST /containers/start', () => {
  test('an empty body starts the default desktop', () => {
    expect(StartContainer.parse({})).toMatchObject({
      width: 1280,
      height: 720,
      network: 'none',
      gpus: 0,
      env: {},
    });
  });

  test('an unknown field is refused', () => {
    expect(StartContainer.safeParse({ privileged: true }).success).toBe(false);
  });

  test.each(['LD_PRELOAD', 'PATH', 'HOME', 'BASH_ENV', 'DISPLAY', 'NODE_OPTIONS', 'lower', '1ST', 'A-B', ''])(
    'env can not set %s',
    (name) => expect(StartContainer.safeParse({ env: { [name]: 'x' } }).success).toBe(false),
  );

  test('env values are bounded and hold no NUL', () => {
    expect(StartContainer.safeParse({ env: { A: 'x'.repeat(4097) } }).success).toBe(false);
    expect(StartContainer.safeParse({ env: { A: 'a\0b' } }).success).toBe(false);
    expect(StartContainer.safeParse({ env: { EDITOR: 'vi', APP_TOKEN: 'ü=1' } }).success).toBe(true);
  });
});

test('the end reason is read from a record, and is `expired` for a record without one that stopped after its time to live', () => {
  const record = { id: 'd1', state: 'stopped', createdAt: '1000', expiresAt: '5000', endedAt: '5000' };
  const reason = (fields: object) => containerFromRecord({ ...record, ...fields })?.endReason;
  expect(reason({})).toBe('expired');
  expect(reason({ endedAt: '4999' })).toBeUndefined();
  expect(reason({ endedAt: '4999', endReason: 'idle' })).toBe('idle');
  expect(reason({ endedAt: '4999', endReason: 'of a later version' })).toBeUndefined();
  expect(reason({ state: 'failed' })).toBeUndefined();
  expect(reason({ state: 'running', endedAt: '' })).toBeUndefined();
});
