import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import type { Line } from './line.ts';
import type { ProcessMessage } from './solo.ts';

const SOLO = fileURLToPath(import.meta.resolve('./solo.ts'));

/** A worker process of `solo.ts` and its messages. */
export class Peer {
  readonly #child: ChildProcess;
  readonly messages: ProcessMessage[] = [];

  /** @param env the settings of `solo.ts` */
  constructor({ queueRedis, realtime }: Pick<Line, 'queueRedis' | 'realtime'>, env: Record<string, string>) {
    const servers = { QUEUE_REDIS: queueRedis.url, REALTIME_REDIS: realtime.url };
    const { PATH, LOG_LEVEL = 'silent' } = process.env;
    this.#child = fork(SOLO, { env: { PATH, LOG_LEVEL, ...servers, ...env } });
    this.#child.on('message', (message: ProcessMessage) => this.messages.push(message));
  }

  /** Waits for a message. @returns when it was last sent, Unix ms */
  async when(what: ProcessMessage['what'], jobId = '', withinMs = 60_000): Promise<number> {
    const last = () => this.messages.findLast((one) => one.what === what && one.jobId === jobId);
    return (await waitFor(`${what} ${jobId}`, last, withinMs)).at;
  }

  /** How many such messages it has sent. */
  count(what: ProcessMessage['what'], jobId = ''): number {
    return this.messages.filter((one) => one.what === what && one.jobId === jobId).length;
  }

  /** Sends a signal. @returns when, Unix ms */
  signal(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): number {
    const at = performance.timeOrigin + performance.now();
    this.#child.kill(signal);
    return at;
  }

  /** Blocks its main thread for a time. */
  block(blockMs: number): void {
    this.#child.send({ blockMs });
  }

  /** Waits until it has ended. */
  async gone(): Promise<void> {
    const child = this.#child;
    await waitFor('the process to end', () => child.exitCode !== null || child.signalCode !== null, 30_000);
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.gone();
  }
}

/** No lock and no lease expires while a test runs. */
const ONLY_BEATS = {
  DEAD_AFTER_MS: '1000',
  LOCK_MS: '600000',
  STALLED_EVERY_MS: '600000',
  LEASE_MS: '600000',
};

/** Worker processes whose deaths only their peers detect. */
export class Peers {
  readonly #line: Line;
  readonly #peers: Peer[] = [];

  constructor(line: Line) {
    this.#line = line;
  }

  /**
   * @param queues names with commas
   * @param env more settings, see `solo.ts`
   */
  start(host: string, queues: string, env: Record<string, string> = {}): Peer {
    const peer = new Peer(this.#line, { ...ONLY_BEATS, HOST: host, QUEUE: queues, ...env });
    this.#peers.push(peer);
    return peer;
  }

  /** Waits until each has sent a message so many times. */
  async all(what: ProcessMessage['what'], times = 1): Promise<void> {
    await waitFor(`${what} of all`, () => this.#peers.every((peer) => peer.count(what) >= times), 20_000);
  }

  /** How many such messages all have sent. */
  sum(what: ProcessMessage['what'], jobId: string): number {
    return this.#peers.reduce((sum, peer) => sum + peer.count(what, jobId), 0);
  }

  async kill(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.kill()));
  }
}
