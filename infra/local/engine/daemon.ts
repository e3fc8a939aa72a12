import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ping } from './ping.ts';

const START_WITHIN_MS = 60_000;
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Paths of a dockerd; two on one machine share none of them. */
export type DaemonPaths = {
  socket: string;
  stateDir: string;
  dataRoot: string;
  execRoot: string;
  args: string[];
};

type Options = {
  place: DaemonPaths;
  /** Path of the program. */
  dockerd: string;
  pidfile: string;
  logPath: string;
  onProgress: ((line: string) => void) | undefined;
};

/** Messages of dockerd when the kernel refuses a feature, and the options that avoid the feature. */
const FALLBACKS = [
  {
    pattern: /iptables|ip6tables|nf_tables|network controller|bridge|NAT chain/i,
    args: ['--iptables=false', '--ip6tables=false', '--bridge=none'],
    limit: 'the kernel refuses bridges or iptables: containers have no network',
  },
  {
    pattern: /graphdriver|storage-driver|overlay|driver not supported/i,
    args: ['--storage-driver=vfs'],
    limit: 'the kernel refuses overlayfs: images are copied (vfs), which is slow and takes space',
  },
];

/**
 * Starts dockerd, without features that the kernel refuses, and waits until it answers.
 * @throws Error with its last log lines
 */
export async function startDaemon(options: Options): Promise<void> {
  const left = new Set(FALLBACKS);
  const extra: string[] = [];
  for (;;) {
    const failure = await tryStart(options, extra);
    if (!failure) return;
    const fallback = [...left].find(({ pattern }) => pattern.test(failure.lastWords));
    if (!fallback) throw new Error(`${failure.problem} (log: ${options.logPath}): ${failure.lastWords}`);
    left.delete(fallback);
    extra.push(...fallback.args);
    options.onProgress?.(fallback.limit);
  }
}

type Failure = { problem: string; lastWords: string };

async function tryStart(
  { place, dockerd, pidfile, logPath }: Options,
  extra: string[],
): Promise<Failure | undefined> {
  await mkdir(dirname(logPath), { recursive: true });
  await mkdir(place.stateDir, { recursive: true, mode: 0o700 });
  const log = await open(logPath, 'w', 0o600);
  const args = ['--host', `unix://${place.socket}`, '--pidfile', pidfile, '--log-level', 'warn'];
  const roots = ['--data-root', place.dataRoot, '--exec-root', place.execRoot];
  // A session of its own: Ctrl-C in a terminal reaches the engine's users, and they stop it last.
  const child = spawn(dockerd, [...args, ...roots, ...place.args, ...extra], {
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}:${SYSTEM_PATH}` },
  });
  child.on('error', () => undefined);
  child.unref();
  await log.close();

  const deadline = Date.now() + START_WITHIN_MS;
  while (isRunning(child) && Date.now() < deadline) {
    if ((await ping(place.socket)) === 'ok') return undefined;
    await sleep(50);
  }
  const problem = isRunning(child) ? 'dockerd did not answer in time' : 'dockerd ended';
  await end(child);
  return { problem, lastWords: await lastWords(logPath) };
}

const isRunning = (child: ChildProcess): boolean =>
  child.pid !== undefined && child.exitCode === null && child.signalCode === null;

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGTERM');
  const deadline = Date.now() + 10_000;
  while (isRunning(child) && Date.now() < deadline) await sleep(50);
  child.kill('SIGKILL');
}

/** Its last warnings and errors. */
async function lastWords(logPath: string): Promise<string> {
  const lines = (await readFile(logPath, 'utf8').catch(() => '')).trim().split('\n');
  const complaints = lines.filter((line) => line !== '' && !/level=(info|debug|warning)/.test(line));
  return complaints.slice(-3).join(' ').slice(-600) || 'its log is empty';
}
