import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type Job } from '@warmwind/shared/contract/jobs';
import type { ProgramResult } from '@warmwind/shared/contract/programs';
import sharp from 'sharp';
import type { Random } from '../random.ts';
import { canaryOf, plantScript, SEARCH } from './canary.ts';
import type { LifeClient, Outcome } from './client.ts';
import type { Operation } from './plan.ts';

type Size = { width: number; height: number };

/** Background of the terminal that every desktop starts with, and of the one that counts. */
const SESSION_COLOR = 0x211a21;
const COLOR = 0x654321;
const PAINTED_WITHIN_MS = 20_000;
const SIZES: [Size, ...Size[]] = [
  { width: 800, height: 600 },
  { width: 1024, height: 768 },
  { width: 1280, height: 720 },
];
/** No desktop expires during a run. */
const TTL_SECONDS = 20_000;

/** An operation, when it ran and how it ended. `done`: it certainly took effect. */
export type Result = {
  operation: Operation;
  from: number;
  to: number;
  done: boolean;
  detail: string;
  jobId: string;
};

/** The texts that a program or action leaves once, by operation. */
const effectOf = ({ index }: Operation): string => `<e${String(index).padStart(4, '0')}>`;
const typedOf = ({ index }: Operation): string => `<t${String(index).padStart(4, '0')}>`;

/** One desktop of the plan, as its user sees it. */
export class LifeDesktop {
  readonly number: number;
  readonly client: LifeClient;
  readonly results: Result[] = [];
  /** Canaries that were found in it. */
  readonly found: string[] = [];
  /** What its user observed that must not be. */
  readonly observations: string[] = [];
  containerId = '';
  /** Its start was reported as warm. */
  warm = false;
  /** Its terminal counts what is typed. */
  #counts = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(number: number, client: LifeClient) {
    this.number = number;
    this.client = client;
  }

  /** Carries out an operation after those before it, unless it is an early one. */
  run(operation: Operation, random: Random): Promise<void> {
    const before = operation.early ? Promise.resolve() : this.#last;
    const mine = before.then(() => this.#one(operation, random));
    this.#last = Promise.allSettled([this.#last, mine]);
    return mine;
  }

  async #one(operation: Operation, random: Random): Promise<void> {
    if (operation.kind !== 'start' && this.containerId === '') return;
    const from = Date.now();
    const outcome = await this.#carryOut(operation, random);
    const { status, code, value } = outcome;
    const job = isJob(value) ? value : undefined;
    const done = status === 200 && (job === undefined ? value !== undefined : job.state === 'completed');
    const detail = `${status} ${code} ${job ? `${job.state} ${job.error?.code ?? ''}` : ''}`.trim();
    const jobId = job?.id ?? '';
    this.results.push({ operation, from, to: Date.now(), done, detail, jobId });
  }

  #carryOut(operation: Operation, random: Random): Promise<Outcome> {
    const { index, kind } = operation;
    const { containerId } = this;
    const key = `${kind}-${index}`;
    switch (kind) {
      case 'start':
        return this.#start(operation, random);
      case 'stop':
        return this.#stop(operation, key);
      case 'pause':
      case 'resume':
        return this.client.job(`container.${kind}` as never, { containerId }, key);
      case 'extend':
        return this.client.call('extendContainer', { containerId, ttlSeconds: TTL_SECONDS }, key);
      case 'exec':
        return this.#program(
          `echo '${effectOf(operation)}' >> "$HOME/effects"; sleep 0.${random.int(0, 9)}`,
          key,
        );
      case 'act':
        return this.#act(typedOf(operation), key);
      case 'screenshot':
        return this.client.request((edge) => edge.screenshot({ containerId, format: 'jpeg' }));
      case 'clipboard':
        return this.client.call(
          'writeClipboard',
          { containerId, text: canaryOf(this.number, 'clipboard') },
          key,
        );
      case 'file': {
        const content = canaryOf(this.number, 'upload');
        const address = { containerId, path: `upload-${index}.txt` };
        return this.client.request(async (edge) => {
          await edge.writeFile({ ...address, content });
          return 'written';
        });
      }
    }
  }

  async #start({ index, plain }: Operation, random: Random): Promise<Outcome> {
    const env = plain ? {} : { env: { LIFE_SECRET: canaryOf(this.number, 'env') } };
    const body = { ...random.pick(SIZES), ttlSeconds: TTL_SECONDS, ...env };
    const sizes = plain ? {} : { memoryMb: 384, cpus: 0.5 };
    const { value, ...answer } = await this.client.submit(
      'container.start',
      { ...body, ...sizes },
      `start-${index}`,
    );
    if (!value) return answer;
    this.containerId = value.containerId ?? '';
    const job = await this.client.ended(value.jobId);
    this.warm = (job?.result as { warm?: boolean } | undefined)?.warm === true;
    if (job?.state === 'completed')
      await this.#setUp(index).catch((error: Error) => this.observations.push(`set up: ${error.message}`));
    return { ...answer, ...(job ? { value: job } : {}) };
  }

  /** A desktop that has just started holds nothing of another; then it gets canaries of its own. */
  async #setUp(index: number): Promise<void> {
    const { containerId, number } = this;
    await this.search(`search-first-${index}`);
    await this.#program(plantScript(canaryOf(number, 'file'), canaryOf(number, 'cookie')), `plant-${index}`);
    const input = { containerId, cmd: ['sleep', '100000'], background: true };
    const env = { LIFE_SECRET: canaryOf(number, 'env') };
    await this.client.job('container.exec', { ...input, env }, `hold-${index}`);
    await this.client.call(
      'writeClipboard',
      { containerId, text: canaryOf(number, 'clipboard') },
      `clip-${index}`,
    );
    if (!(await this.#painted(SESSION_COLOR))) return;
    const count = 'stty -echo; cat >> "$HOME/typed"';
    const terminal = [
      '-fullscreen',
      '-b',
      '0',
      '-bg',
      '#654321',
      '-xrm',
      '*scrollBar: false',
      '-e',
      'sh',
      '-c',
      count,
    ];
    const opened = { containerId, cmd: ['xterm', ...terminal], background: true };
    await this.client.job('container.exec', opened, `terminal-${index}`);
    this.#counts = await this.#painted(COLOR);
  }

  /** Waits until the screen has a color where terminals are. */
  async #painted(color: number): Promise<boolean> {
    const deadline = Date.now() + PAINTED_WITHIN_MS;
    while (Date.now() < deadline) {
      const answer = await this.client.request((edge) =>
        edge.screenshot({ containerId: this.containerId, format: 'png', region: '400,400,1,1' }),
      );
      if (!answer.value) return false;
      const pixel = await sharp(Buffer.from(await answer.value.arrayBuffer()))
        .raw()
        .toBuffer();
      if (pixel.readUIntBE(0, 3) === color) return true;
      await sleep(100);
    }
    return false;
  }

  /** Types a text into the terminal that counts; without one, it only moves the pointer. */
  #act(text: string, key: string): Promise<Outcome> {
    const { containerId } = this;
    const actions = this.#counts ? [{ type: 'type', text: `${text}\n` }] : [{ type: 'move', x: 10, y: 10 }];
    return this.client.call('act', { containerId, actions, settle: false }, key);
  }

  async #stop({ early, index }: Operation, key: string): Promise<Outcome> {
    if (!early) await this.count(`count-${index}`);
    return this.client.job('container.stop', { containerId: this.containerId }, key);
  }

  #program(script: string, key: string): Promise<Outcome<Job>> {
    const input = { containerId: this.containerId, cmd: ['sh', '-c', script] };
    return this.client.job('container.exec', input, key);
  }

  async #output(script: string, key: string): Promise<string | undefined> {
    const { value } = await this.#program(script, key);
    return value?.state === 'completed' ? (value.result as ProgramResult).stdout : undefined;
  }

  /** Searches the desktop for canaries, as a program of its user. */
  async search(key: string): Promise<boolean> {
    const text = await this.#output(SEARCH, key);
    this.found.push(...(text ?? '').split('\n').filter((line) => line !== ''));
    return text !== undefined;
  }

  /**
   * Counts the effects of programs and actions. None may have happened twice, and each that was reported as done
   * happened.
   * @returns whether the desktop could be read
   */
  async count(key: string): Promise<boolean> {
    const text = await this.#output('cat "$HOME/effects" "$HOME/typed" 2>/dev/null; true', key);
    if (text === undefined) return false;
    for (const { operation, done, detail } of this.results) {
      const { kind, index } = operation;
      if (kind !== 'exec' && !(kind === 'act' && this.#counts)) continue;
      const times = text.split(kind === 'exec' ? effectOf(operation) : typedOf(operation)).length - 1;
      if (times > 1 || (done && times === 0))
        this.observations.push(`${kind} ${index} (${detail}) happened ${times} times`);
    }
    return true;
  }
}

const isJob = (value: unknown): value is Job =>
  typeof value === 'object' && value !== null && 'state' in value && isTerminal(value.state as Job['state']);
