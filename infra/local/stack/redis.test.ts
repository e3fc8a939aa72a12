import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import { freePort } from '../../quality/testing/port.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { queueArgs, realtimeArgs, redisAnswers, writeRedisConfig } from './redis.ts';

const PASSWORD = '5b1f0e9ac3d74d62a8f1';
const dir = mkdtempSync(join(tmpdir(), 'ww-redis-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test.each([
  ['queue', queueArgs],
  ['realtime', realtimeArgs],
])(
  'the %s Redis answers no user of the machine without its password, which is in no argument',
  async (_, args) => {
    const port = await freePort();
    const config = writeRedisConfig(dir, PASSWORD);
    expect(statSync(config).mode & 0o777).toBe(0o600);
    const server = spawn('setpriv', ['--pdeathsig', 'KILL', 'redis-server', config, ...args(port, dir)], {
      stdio: 'ignore',
    });
    try {
      const pid = server.pid ?? 0;
      await waitFor('redis to answer', () => redisAnswers(port, pid, PASSWORD));
      expect(await redisAnswers(port, pid)).toBe(false);
      const stranger = new Redis(port, '127.0.0.1', { retryStrategy: () => null, enableReadyCheck: false });
      stranger.on('error', () => undefined);
      await expect(stranger.get('x')).rejects.toThrow('NOAUTH');
      stranger.disconnect();
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(PASSWORD);
    } finally {
      server.kill('SIGKILL');
    }
  },
);
