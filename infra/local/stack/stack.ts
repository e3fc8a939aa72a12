import { withTimeout } from '@warmwind/shared/runtime/timeout';
import { buildEdge } from '../../../edge/build.ts';
import { migrateLedger } from '../../operations/ledger/migrate.ts';
import { pooledUrl } from '../pooler/urls.ts';
import { answersFrom } from './answers.ts';
import type { PartsContext } from './context.ts';
import { recordStopped, removeDesktops } from './desktops.ts';
import type { StackEngine } from './engine.ts';
import { lastWords } from './logs.ts';
import { type Parts, planParts, WORKER_HOSTS } from './parts.ts';
import { born, type ProcessId } from './processes.ts';
import { makeTokens } from './secrets.ts';
import type { RunFile, StackFile } from './state.ts';
import { type Part, Supervisor } from './supervisor.ts';
import { stackUrls } from './urls.ts';

/** How long the other parts wait for the ledger's tables. */
const MIGRATED_WITHIN_MS = 10_000;

/** Prints one line about a part. */
export type Progress = (name: string, text: string) => void;

/** The complete system, started and stopped as one. */
export class Stack {
  readonly #context: PartsContext;
  #engine: StackEngine | undefined;
  readonly #report: Progress;
  readonly #supervisor: Supervisor;
  readonly #parts: Parts;
  #file: Omit<StackFile, 'pids'> | undefined;
  #down: Promise<void> | undefined;

  /** @throws Error when a part would refuse its environment; nothing has been started then */
  constructor(context: PartsContext, report: Progress) {
    this.#context = context;
    this.#report = report;
    this.#parts = planParts(context);
    this.#supervisor = new Supervisor({
      cwd: context.dir.path,
      logs: context.dir.file('logs'),
      report,
      changed: (processes) => this.#record(processes),
    });
  }

  /**
   * Starts every part as soon as the parts that it needs are ready.
   * @throws Error when a part can't be started
   */
  async up(engine: StackEngine | undefined): Promise<void> {
    this.#engine = engine;
    engine?.onChange(() => this.#record(this.#supervisor.processes()));
    const parts = this.#parts;
    this.#startModelServer();
    const bundle = buildEdge(this.#context.dir.file('edge'));
    bundle.catch(() => undefined);
    await Promise.all([
      this.#start(parts.redisQueue),
      this.#start(parts.redisRealtime),
      this.#startLedger(),
      this.#start(parts.nginx),
    ]);
    await Promise.all([
      Promise.all([bundle, ...[parts.gateway, ...parts.relays].map((part) => this.#start(part))]).then(() =>
        this.#start(parts.edge),
      ),
      ...parts.workers.map((part) => this.#start(onEngine(part, engine))),
    ]);
  }

  /** Writes `stack.json`, which follows every pid from now on. */
  async publish(): Promise<StackFile> {
    const { dir, secrets } = this.#context;
    const urls = stackUrls(this.#context);
    this.#file = {
      edge: urls.edge,
      relay: urls.relay,
      relays: urls.relays,
      workers: urls.workers.map((url, index) => ({
        url,
        host: WORKER_HOSTS[index] ?? '',
        admin: urls.admins[index] ?? '',
      })),
      ...(urls.modelServer ? { modelServer: urls.modelServer } : {}),
      ...(urls.ledger ? { ledger: { url: urls.ledger, pooledUrl: pooledLedger(urls) } } : {}),
      redis: {
        queue: urls.redisQueue,
        realtime: urls.redisRealtime,
        rest: { url: urls.gateway, token: secrets.gatewayToken },
      },
      authSecret: secrets.authSecret,
      adminPassword: secrets.adminPassword,
      tokens: await makeTokens(secrets.authSecret),
    };
    this.#record(this.#supervisor.processes());
    return dir.read('stack.json') as StackFile;
  }

  /**
   * Takes everything down, each step within its bound: no new requests, workers requeue their jobs, desktops
   * are removed and recorded as stopped, relays notify and close their sockets, Redis and PostgreSQL flush.
   * Never rejects; a second call awaits the first.
   */
  down(): Promise<void> {
    this.#down ??= this.#takeDown();
    return this.#down;
  }

  async #takeDown(): Promise<void> {
    const { dir } = this.#context;
    this.#supervisor.close();
    // nginx stops accepting now, and carries open sockets until the relays have notified and closed them.
    this.#supervisor.signal('nginx');
    await this.#supervisor.stop(['edge']);
    await this.#supervisor.stop(['worker-1', 'worker-2']);
    if (this.#engine) await this.#endDesktops(this.#engine);
    await this.#supervisor.stop(['relay-1', 'relay-2', 'gateway', 'model-server', 'pooler']);
    await this.#supervisor.stop(['nginx']);
    await this.#supervisor.stop(['redis-queue', 'redis-realtime', 'postgres']);
    await withTimeout(this.#engine?.stop() ?? Promise.resolve(), 30_000).catch((error: Error) =>
      this.#report('docker', `did not stop: ${error.message}`),
    );
    dir.remove('stack.json');
    dir.remove('run.json');
  }

  /** A desktop that could not be removed may still run: its record stays for the next start. */
  async #endDesktops({ socket }: StackEngine): Promise<void> {
    const { dir, settings } = this.#context;
    try {
      const removed = await withTimeout(removeDesktops(socket, settings.FLEET ?? dir.fleet), 30_000);
      if (removed > 0) this.#report('desktops', `${removed} removed`);
    } catch (error) {
      this.#report('desktops', `not all could be removed: ${messageOf(error)}`);
      return;
    }
    const { redisQueue: queue, redisRealtime: realtime, ledger } = stackUrls(this.#context);
    try {
      const { stopped, unpublished } = await recordStopped({ queue, realtime, ledger }, [...WORKER_HOSTS]);
      if (stopped > 0) this.#report('desktops', `${stopped} recorded as stopped`);
      if (unpublished > 0)
        this.#report('desktops', `realtime Redis is away: ${unpublished} events were not published`);
    } catch (error) {
      this.#report('desktops', `not all could be recorded as stopped: ${messageOf(error)}`);
    }
  }

  /**
   * No part waits for it: workers ask for the model until it is served. Where it can't run, all other parts
   * do.
   */
  #startModelServer(): void {
    const { modelServer } = this.#parts;
    this.#start(modelServer).catch((error: unknown) => {
      if (this.#down) return;
      const why = lastWords(this.#context.dir.file('logs/model-server.log')) ?? messageOf(error);
      this.#report('model-server', `no language model, all other parts run: ${why}`);
    });
  }

  /**
   * Migrates the ledger before services use it. The workers migrate an external one that is away once it
   * answers.
   */
  async #startLedger(): Promise<void> {
    await this.#start(this.#parts.postgres);
    const { ledger } = stackUrls(this.#context);
    await this.#start(this.#parts.pooler);
    if (ledger === undefined || (await migrateLedger(ledger, MIGRATED_WITHIN_MS)) || this.#down) return;
    this.#report('ledger', 'does not answer yet: submissions are refused until it does and has its tables');
  }

  async #start(part: Part | undefined): Promise<void> {
    if (!part) return;
    const ms = await this.#supervisor.start(part);
    this.#report(part.name, `${part.what.padEnd(27)} ${part.url.padEnd(28)} ${ms} ms`);
  }

  /** Every change of a pid reaches the files at once: `run.json` from the first process on, `stack.json` when all are up. */
  #record(processes: Record<string, ProcessId>): void {
    const { dir } = this.#context;
    const run: RunFile = { stack: { pid: process.pid, born: born(process.pid) ?? '' }, parts: processes };
    dir.write('run.json', run);
    if (!this.#file) return;
    const dockerd = this.#engine?.process();
    const all = dockerd ? { ...processes, dockerd } : processes;
    const pids = Object.fromEntries(Object.entries(all).map(([name, { pid }]) => [name, pid]));
    dir.write('stack.json', { ...this.#file, pids } satisfies StackFile);
  }
}

/**
 * A worker on this engine. Without an engine it runs too: its readiness names it, and starts fail with
 * `engine_unavailable`.
 */
const onEngine = (worker: Part, engine: StackEngine | undefined): Part =>
  engine ? worker : { ...worker, ready: (pid) => answersFrom(pid, `${worker.url}/health/live`) };

const pooledLedger = ({ ledger, pooler }: ReturnType<typeof stackUrls>): string | undefined =>
  ledger && pooler && pooledUrl('LEDGER_URL', ledger, pooler);

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
