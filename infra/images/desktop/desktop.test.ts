import { connect } from 'node:net';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine, type TestEngine } from '../../quality/testing/docker.ts';
import { waitFor } from '../../quality/testing/wait.ts';
import { ensureDesktopImage } from './build.ts';

/** A uid that the image does not know. */
const UID = 1_900_000_007;
let engine: TestEngine;
const names: string[] = [];

beforeAll(async () => {
  engine = await startEngine();
}, ENGINE_WITHIN_MS);

afterAll(async () => {
  for (const name of names) {
    await engine.docker
      .getContainer(name)
      .remove({ force: true })
      .catch(() => undefined);
    await engine.docker
      .getVolume(name)
      .remove()
      .catch(() => undefined);
  }
});

/**
 * Starts a desktop as hardened as a worker makes it.
 * @returns the host's path of its socket
 */
async function startDesktop(env: string[] = []): Promise<{ container: Docker.Container; socket: string }> {
  const name = `warmwind-image-test-${process.pid}-${names.length}`;
  names.push(name);
  await engine.docker.createVolume({
    Name: name,
    DriverOpts: {
      type: 'tmpfs',
      device: 'tmpfs',
      o: 'size=1m,uid=0,gid=0,mode=3713,nosuid,nodev,noexec',
    },
  });
  const container = await engine.docker.createContainer({
    name,
    Image: engine.image,
    Cmd: [String(UID)],
    WorkingDir: '/',
    Env: env,
    HostConfig: {
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: ['SETUID', 'SETGID', 'SETPCAP', 'KILL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: 512 * 2 ** 20,
      PidsLimit: 256,
      NetworkMode: 'none',
      LogConfig: { Type: 'none', Config: {} },
      Tmpfs: {
        '/tmp': 'rw,nosuid,nodev,mode=1777,size=64m',
        '/home/user': `rw,nosuid,nodev,uid=${UID},gid=${UID},mode=0700,size=128m`,
      },
      Mounts: [{ Type: 'volume', Source: name, Target: '/run/rfb' }],
    },
  });
  await container.start();
  const { Mountpoint } = await engine.docker.getVolume(name).inspect();
  return { container, socket: join(Mountpoint, 's') };
}

/**
 * Sends `answers[i]` once the `i`-th piece of `sizes` has arrived.
 * @returns the pieces
 */
function converse(path: string, sizes: number[], answers: string[]): Promise<Buffer[] | undefined> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    let received = Buffer.alloc(0);
    const socket = connect(path);
    socket.setTimeout(2000, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(pieces.length === sizes.length ? pieces : undefined));
    socket.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data]);
      for (let size = sizes[pieces.length]; size && received.length >= size; size = sizes[pieces.length]) {
        socket.write(answers[pieces.length] ?? '', 'latin1');
        pieces.push(received.subarray(0, size));
        received = received.subarray(size);
      }
      if (pieces.length === sizes.length) socket.destroy();
    });
  });
}

/** The handshake of an RFB 3.8 viewer without a password: version, security types, result, ServerInit. */
const greet = (socket: string) =>
  waitFor('the desktop to speak RFB', () =>
    converse(socket, [12, 2, 4, 24], ['RFB 003.008\n', '\x01', '\x01', '']),
  );

async function inside(container: Docker.Container, command: string): Promise<string> {
  const exec = await container.exec({
    User: `${UID}:${UID}`,
    WorkingDir: '/home/user',
    Cmd: ['sh', '-c', command],
    Tty: true,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await exec.start({ Tty: true });
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

describe('the desktop image', () => {
  it('speaks RFB 3.8 on its unix socket at the asked size, without privileges, root disk or network', async () => {
    const { socket } = await startDesktop(['SCREEN_WIDTH=1024', 'SCREEN_HEIGHT=600']);
    const [version, security, result, init] = await greet(socket);
    expect(version?.toString()).toBe('RFB 003.008\n');
    expect(security).toEqual(Buffer.from([1, 1]));
    expect(result).toEqual(Buffer.alloc(4));
    expect([init?.readUInt16BE(0), init?.readUInt16BE(2)]).toEqual([1024, 600]);
  });

  it('runs all under any uid, which has a name, listens on no TCP port, and keeps its socket from other users', async () => {
    const { container, socket } = await startDesktop();
    await greet(socket);
    await waitFor('the session', async () => (await inside(container, 'ps -eo comm')).includes('xterm'));
    expect((await inside(container, 'ps --deselect --pid 1 -o uid= | sort -u')).trim()).toBe(`${UID}`);
    expect((await inside(container, 'id -un; id -gn')).split(/\s+/).slice(0, 2)).toEqual(['user', 'user']);
    expect((await inside(container, 'cat /proc/net/tcp /proc/net/tcp6 | grep -cw 0A')).trim()).toBe('0');
    expect((await inside(container, 'stat -c %a%u /run/rfb/s')).trim()).toBe(`660${UID}`);
    expect((await inside(container, 'find / -xdev -perm /6000 -type f 2>/dev/null')).trim()).toBe('');
  });

  it('has a terminal, a file manager and an editor, and a home that they find in order', async () => {
    const { container, socket } = await startDesktop();
    await greet(socket);
    await waitFor('the session', async () => (await inside(container, 'ps -eo comm')).includes('jwm'));
    for (const program of ['xterm', 'xfe', 'xfwrite', 'xclip']) {
      expect(await inside(container, `command -v ${program}`)).toContain(`/usr/bin/${program}`);
    }
    expect(await inside(container, 'cat ~/.config/xfe/xferc')).toContain('[SETTINGS]');
    expect(await inside(container, 'touch /etc/x 2>&1')).toContain('Read-only');
  });

  it('ends at once on SIGTERM, and when Xvnc dies', async () => {
    const asked = await startDesktop();
    await greet(asked.socket);
    const ended = asked.container.wait();
    await asked.container.kill({ signal: 'SIGTERM' });
    expect((await ended).StatusCode).toBe(0);

    const killed = await startDesktop();
    await greet(killed.socket);
    const died = killed.container.wait();
    await inside(killed.container, 'kill -9 $(pidof Xvnc)');
    expect((await died).StatusCode).toBe(137);
  });

  it('refuses a size that is no size', async () => {
    const { container } = await startDesktop(['SCREEN_WIDTH=1;reboot']);
    expect((await container.wait()).StatusCode).toBe(64);
  });

  it('is built once: the next caller finds it', async () => {
    const [a, b] = await Promise.all([
      ensureDesktopImage({ socket: engine.socket }),
      ensureDesktopImage({ socket: engine.socket }),
    ]);
    expect([a.built, b.built]).toEqual([false, false]);
  });
});
