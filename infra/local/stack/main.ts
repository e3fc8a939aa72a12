/**
 * The local stack behind `npm start`: the complete system on this machine's loopback, of real parts,
 * supervised as an orchestrator would. Ctrl-C, SIGTERM or a closed terminal stops it.
 */
import { relative, resolve } from 'node:path';
import { ensureDesktopImage } from '../../images/desktop/build.ts';
import { ensureAccount } from '../postgres/account.ts';
import { findBinaries } from '../postgres/binaries.ts';
import { findEngine } from './engine.ts';
import { boundLogs, openLogs } from './logs.ts';
import { reservePorts } from './ports.ts';
import { endLeftovers } from './processes.ts';
import { progressLine } from './progress.ts';
import { loadSecrets } from './secrets.ts';
import { readSettings, type Settings } from './settings.ts';
import { Stack } from './stack.ts';
import { lock, openStateDir, readRun, type StackFile, type StateDir } from './state.ts';
import { findTool, installCommand } from './tools.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

/** Prints one line a part. A closed terminal must not end the stack before it was taken down. */
const report = (name: string, text: string): void => {
  process.stdout.write(`${name.padEnd(15)} ${text}\n`);
};
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

let stack: Stack | undefined;
let stopping = false;

async function stop(cause: string, exitCode: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  if (!stack) {
    process.stderr.write(`Nothing was started: ${cause}\n`);
    process.exit(exitCode);
  }
  report('stack', `${cause}: taking everything down`);
  await stack.down();
  report('stack', 'down');
  process.exit(exitCode);
}

async function main(): Promise<void> {
  const begun = Date.now();
  const settings = readSettings(process.env, ROOT);
  const dir = openStateDir(settings.stateDir);
  if (!(await lock(dir))) return printAlreadyRunning(dir);

  const redisServer = findTool('redis-server');
  if (!redisServer)
    throw new Error(`redis-server is missing, and nothing runs without it. ${remedy('redis-server')}`);
  const nginx = findTool('nginx');
  if (!nginx) report('nginx', `missing: edge and relays answer on their own ports. ${remedy('nginx')}`);

  prepareLedger(settings);
  const pgbouncer = findPooler(settings);

  dir.remove('stack.json');
  const ended = await endLeftovers(readRun(dir), dir.path);
  if (ended > 0) report('stack', `ended ${ended} parts that a killed stack had left running`);
  openLogs(dir.file('logs'));
  boundLogs(dir.file('logs'));

  const ports = await reservePorts(settings);
  const secrets = loadSecrets(dir, settings);
  stack = new Stack({ root: ROOT, dir, settings, secrets, ports, redisServer, nginx, pgbouncer }, report);
  const engine = await findEngine(settings.DOCKER_SOCKET, dir.file('logs/dockerd.log'), report);
  await Promise.all([stack.up(engine), engine && buildImage(engine.socket)]);
  if (!stopping) printReady(await stack.publish(), dir, Date.now() - begun);
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
const remedy = (pkg: string) => `Remedy: ${installCommand(pkg)}`;

/**
 * Prints which ledger is used.
 * @throws Error with the remedy when the embedded one can't run
 */
function prepareLedger({ LEDGER, LEDGER_URL }: Settings): void {
  if (LEDGER === 'off') {
    report('ledger', 'off: an acknowledged job lives in the queue Redis alone, and is lost with it');
  } else if (LEDGER_URL) {
    const { hostname, port, pathname } = new URL(LEDGER_URL);
    report('ledger', `the PostgreSQL at ${hostname}:${port || 5432}${pathname}`);
  } else {
    findBinaries();
    ensureAccount((name) =>
      report('postgres', `made the system user ${name}: PostgreSQL and its pooler do not run as root`),
    );
  }
}

/** Without a pooler each submission opens a connection to PostgreSQL, which is slower. */
function findPooler({ LEDGER, POOLER }: Settings): string | undefined {
  if (LEDGER === 'off' || POOLER === 'off') return undefined;
  const pgbouncer = findTool('pgbouncer');
  if (!pgbouncer) report('pooler', `missing: the edge connects to PostgreSQL itself. ${remedy('pgbouncer')}`);
  return pgbouncer;
}

/** The first time this takes a minute or two. */
async function buildImage(socket: string): Promise<void> {
  const begun = Date.now();
  const progress = progressLine('desktop image', process.stdout);
  try {
    const { image, built } = await ensureDesktopImage({ socket, onProgress: progress.show });
    progress.clear();
    report('desktop image', `${image} ${built ? 'built' : 'exists'}, ${Date.now() - begun} ms`);
  } catch (error) {
    progress.clear();
    report('desktop image', `could not be built, no desktop can start: ${messageOf(error)}`);
  }
}

function printReady(stack: StackFile, dir: StateDir, ms: number): void {
  const file = relative(process.cwd(), dir.file('stack.json'));
  process.stdout.write(`
Up after ${(ms / 1000).toFixed(1)} s; addresses and tokens are in ${file}. Ask for a desktop:

  TOKEN=$(node -p 'JSON.parse(require("fs").readFileSync("${file}")).tokens.user')
  curl -X POST -H "Authorization: Bearer $TOKEN" ${stack.edge}/containers/start
  curl -H "Authorization: Bearer $TOKEN" ${stack.edge}/containers

API: ${stack.edge}/docs   Logs: ${relative(process.cwd(), dir.file('logs'))}   Ctrl-C takes everything down, desktops included.

ready
`);
}

/** A second start only reports the state of the first. */
function printAlreadyRunning(dir: StateDir): void {
  const running = dir.read('stack.json') as StackFile | undefined;
  if (!running) {
    report('stack', `is being started or taken down by another process (${dir.path})`);
    return;
  }
  report('stack', `runs already; ${dir.file('stack.json')} has its addresses and tokens`);
  report('edge', running.edge);
  report('relay', `${running.relay} (nodes ${running.relays.join(' ')})`);
  for (const { host, url } of running.workers) report(host, url);
  for (const [name, pid] of Object.entries(running.pids)) report(name, `pid ${pid}`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal, 0));
process.on('uncaughtException', (error) => stop(error.stack ?? error.message, 1));
main().catch((error: unknown) => stop(messageOf(error), 1));
