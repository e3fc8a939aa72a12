import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { LABELS } from '../../../workers/containers/spec.ts';
import type { TestEngine } from '../testing/docker.ts';

const ROOT = join(import.meta.dirname, '../../..');
/** Caches of npm and wrangler below `TMPDIR`. */
const CACHES = ['node-compile-cache', 'update-check'];

/** The settings that make a bench as short as possible, and the figure that it prints last. */
type ShortestBench = { env: Record<string, string>; last: string };

/** The benches without desktops. */
export const SERVICE_BENCHES: Record<string, ShortestBench> = {
  bench: {
    env: { ROUNDS: '1', REQUESTS: '2', WARM_UP: '0' },
    last: 'p50, edge / bare Worker',
  },
  'bench:history': {
    env: { JOBS: '24000', DEEP: '2', PAGES: '3', ROUNDS: '1', REQUESTS: '4', MOVED: '20', PLACEMENTS: '3' },
    last: 'placement without p95',
  },
  'bench:ledger': {
    env: { ROUNDS: '1', REQUESTS: '2', WARM_UP: '0' },
    last: 'pooled: statement p50',
  },
  'bench:relay': {
    env: { ROUNDS: '1', SECONDS: '0.3', VIEWERS: '5', WARM_UPS: '0' },
    last: 'memory, growth with the two',
  },
  'bench:inference': {
    env: { ROUNDS: '1', TOKENS: '40', TOKENS_OF_MANY: '20', STREAMS: '2' },
    last: 'first token p50, platform',
  },
  'bench:jobs': {
    env: { ROUNDS: '1', JOBS: '30', HAND_BACKS: '1', CANCELS: '1' },
    last: 'SIGTERM → a peer runs its jobs, p95',
  },
  'bench:recovery': {
    env: { KILLS: '1', KILLS_ALONE: '0', STARTS: '0', STARTS_ALONE: '0', DEAD_AFTER_MS: '500' },
    last: 'kill -9 → a peer runs its jobs, p95',
  },
};

/** The benches on real desktops. */
export const DESKTOP_BENCHES: Record<string, ShortestBench> = {
  'bench:actions': {
    env: { CLICKS: '3', BATCHES: '1', PICTURES: '3' },
    last: 'input → changed picture, p50',
  },
  'bench:exec': { env: { REQUESTS: '2', WARM_UP: '0' }, last: '`Prefer: wait` / `docker exec`, p50' },
  'bench:pause': { env: { REQUESTS: '2', WARM_UP: '0' }, last: 'resume / an empty job, p50' },
  'bench:files': { env: { MEGABYTES: '2', ROUNDS: '1' }, last: '2 MB from the desktop, p50' },
  'bench:starts': { env: { ROUNDS: '1', WARM_UP: '0', AT_ONCE: '2' }, last: 'the last first picture' },
  'bench:floor': { env: { WARM_UP_SECONDS: '0.5', SECONDS: '0.5' }, last: 'redis' },
  'bench:screen': {
    env: { WARM_UP_SECONDS: '0.5', SECONDS: '1', VIEWERS: '1', PROGRAMS: 'text' },
    last: 'text, 1 viewers: X change → socket, p95',
  },
};

/** Runs a bench of package.json and checks that it prints its figures and leaves nothing running. */
export async function checkBench(
  name: string,
  { env, last }: ShortestBench,
  engine: TestEngine,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ww-bench-'));
  try {
    const since = Math.floor(Date.now() / 1000);
    const { code, output, session } = await run(name, { ...env, TMPDIR: folder });
    const figures = output.split('\n').filter((line) => /^ {2}\S.* -?\d+(\.\d+)?\b/.test(line));
    expect(figures.filter((line) => line.startsWith(`  ${last} `)).length, output).toBeGreaterThan(0);
    expect(output).not.toContain('NaN');
    expect([code, output]).toEqual([output.includes('MISSED') ? 1 : 0, output]);
    expect(await processesOf(session, folder)).toEqual([]);
    expect((await readdir(folder)).filter((entry) => !CACHES.includes(entry))).toEqual([]);
    expect(await desktopsSince(engine, since)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a script of package.json in a session of its own, with the files of its parts below `TMPDIR`. */
async function run(name: string, env: Record<string, string>) {
  const { WARMWIND_TEST_DIR: _, ...inherited } = process.env;
  const child = spawn('npm', ['run', '--silent', name], {
    cwd: ROOT,
    env: { ...inherited, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, output, session: child.pid ?? 0 };
}

/** @returns the commands of processes that belong to the session or use the folder */
async function processesOf(session: number, folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))) {
    const [stat, command, environment] = await Promise.all(
      ['stat', 'cmdline', 'environ'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    );
    // After the name, which may contain anything: state, parent, group, session.
    const own = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[3];
    if (Number(own) === session || `${command}${environment}`.includes(folder))
      found.push(`${pid} ${command}`);
  }
  return found;
}

/** @returns the fleets of desktops created since then by a bench that has ended */
async function desktopsSince({ docker }: TestEngine, seconds: number): Promise<string[]> {
  const containers = await docker.listContainers({ all: true, filters: { label: [LABELS.fleet] } });
  return containers
    .filter(({ Created }) => Created >= seconds)
    .flatMap(({ Labels }) => Labels[LABELS.fleet] ?? [])
    .filter((fleet) => /^bench-\d+$/.test(fleet) && !isRunning(Number(fleet.slice('bench-'.length))));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
