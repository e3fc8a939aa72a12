import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { freePort } from '../../testing/port.ts';
import { waitFor } from '../../testing/wait.ts';
import type { Side } from './crowd.ts';
import { cpuMs } from './desktop.ts';

/**
 * Starts websockify, the common solution: one process for each viewer, each with a VNC connection of its own.
 */
export async function startWebsockify(socketPath: string): Promise<Side> {
  const port = await freePort();
  const command = ['--pdeathsig', 'KILL', 'websockify', `--unix-target=${socketPath}`, `127.0.0.1:${port}`];
  const child = spawn('setpriv', command, { stdio: 'ignore' });
  const url = `ws://127.0.0.1:${port}`;
  await waitFor('websockify', () => probe(url));
  return {
    to: async () => ({ websockify: url }),
    /** CPU time of it and of its running child processes, ms. */
    cpuMs: async () => {
      const pids = [child.pid ?? 0, ...(await childrenOf(child.pid ?? 0))];
      const each = await Promise.all(pids.map((pid) => cpuMs(pid).catch(() => 0)));
      return { websockify: each.reduce((sum, ms) => sum + ms, 0) };
    },
    stop: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

const probe = (url: string) =>
  new Promise<boolean>((resolve) => {
    const socket = new WebSocket(url, ['binary']);
    socket.onerror = () => resolve(false);
    socket.onopen = () => {
      socket.close();
      resolve(true);
    };
  });

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: number[] = [];
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) found.push(pid);
  }
  return found;
}
