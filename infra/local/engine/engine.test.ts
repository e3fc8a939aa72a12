import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { born } from '../stack/processes.ts';
import type { DaemonPaths } from './daemon.ts';
import { ensureEngine, releaseEngine } from './engine.ts';
import { running } from './holders.ts';
import { withLock } from './lock.ts';
import { ping } from './ping.ts';

/** A dockerd of the test's own: it shares no file, bridge or rule with the machine's. */
describe('the engine', () => {
  let folder: string;
  let place: DaemonPaths;
  const options = () => ({ place, socket: place.socket, logPath: join(folder, 'dockerd.log') });

  beforeAll(async () => {
    // Short: a unix socket's path holds 107 bytes.
    folder = await mkdtemp(join(tmpdir(), 'ww-engine-'));
    place = {
      socket: join(folder, 's'),
      stateDir: join(folder, 'state'),
      dataRoot: join(folder, 'data'),
      execRoot: join(folder, 'exec'),
      args: ['--iptables=false', '--ip6tables=false', '--bridge=none', '--storage-driver=vfs'],
    };
  });

  afterAll(async () => {
    await releaseEngine(process.pid, place);
    // A dockerd that fails to start leaves its data folder mounted on itself.
    spawnSync('umount', [place.dataRoot]);
    await rm(folder, { recursive: true, force: true });
  });

  it('is started once for two callers, and stops with its containerd when the last of them leaves', async () => {
    const other = spawn('sleep', ['600']);
    const [mine, theirs] = await Promise.all([
      ensureEngine(options()),
      ensureEngine({ ...options(), holder: other.pid ?? 0 }),
    ]);
    expect(theirs.process).toEqual(mine.process);
    expect(await ping(place.socket)).toBe('ok');
    const containerd = (await running(join(place.execRoot, 'containerd/containerd.pid'), 'containerd')) ?? 0;
    expect(containerd).toBeGreaterThan(0);

    await mine.stop();
    expect(await ping(place.socket)).toBe('ok');
    await theirs.stop();
    expect(await ping(place.socket)).toBe('none');
    expect(born(containerd)).toBeUndefined();
    await expect(access(place.stateDir)).rejects.toThrow('ENOENT');
    other.kill('SIGKILL');
  });

  it('is not kept by a user that died without leaving', async () => {
    const other = spawn('sleep', ['600']);
    const mine = await ensureEngine(options());
    await ensureEngine({ ...options(), holder: other.pid ?? 0 });
    other.kill('SIGKILL');
    await once(other, 'exit');
    await mine.stop();
    expect(await ping(place.socket)).toBe('none');
  });

  it('avoids features that the kernel refuses, and reports them', async () => {
    const printed: string[] = [];
    const refused = { ...place, args: [...place.args.slice(0, 3), '--storage-driver=none-such'] };
    const engine = await ensureEngine({
      ...options(),
      place: refused,
      onProgress: (line) => printed.push(line),
    });
    expect(printed.join()).toContain('the kernel refuses overlayfs');
    expect(await ping(place.socket)).toBe('ok');
    await engine.stop();
  });

  it('that cannot start fails with dockerd’s own message', async () => {
    const failing = { ...place, args: ['--no-such-flag'] };
    await expect(ensureEngine({ ...options(), place: failing })).rejects.toThrow(/unknown flag/);
  });

  it('that the user chose and that does not answer is not replaced', async () => {
    await expect(ensureEngine({ ...options(), socket: join(folder, 'chosen') })).rejects.toThrow('start it');
  });
});

describe('the lock', () => {
  it('admits one process at a time, and the next when it is free', async () => {
    const seen: string[] = [];
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        withLock(`test-${process.pid}`, 10_000, async () => {
          seen.push(`${name} in`);
          await new Promise((resolve) => setImmediate(resolve));
          seen.push(`${name} out`);
        }),
      ),
    );
    expect(seen).toHaveLength(6);
    for (let i = 0; i < 6; i += 2) expect(seen[i + 1]).toBe(seen[i]?.replace('in', 'out'));
  });

  it('fails after its bound', async () => {
    const name = `test-bound-${process.pid}`;
    await withLock(name, 1000, async () => {
      await expect(withLock(name, 50, async () => undefined)).rejects.toThrow('held the lock');
    });
  });
});
