import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OCR_MODEL } from '@warmwind/shared/contract/inference';
import { type Ask, ask } from './client.ts';
import { type EndedJob, Load, playAll, USERS } from './load.ts';
import { Random } from './random.ts';
import { Watcher } from './watcher.ts';

/** Stories that are played at the same time. */
const AT_ONCE = 48;
/** How many jobs are watched at most, and for how long, ms. */
const WATCHED = 250;
const WATCH_WITHIN_MS = 240_000;
/** A model that no server has: its jobs fail at once, without a retry. */
const MISSING = 'missing-model';
const IMAGE = readFileSync(
  join(import.meta.dirname, '../../../workers/inference/reading/testing/screen.png'),
).toString('base64');

type Work = 'desktop' | 'reading' | 'missing';
/** The actions of a client on one job. */
type Story = {
  user: string;
  seed: number;
  work: Work;
  webhook: boolean;
  watched: boolean;
  /** When it is cancelled, ms after it was acknowledged. */
  cancelAfterMs: number | undefined;
  /** It is retried when it has not completed. */
  retry: boolean;
};

/** Clients that start desktops, have images read, request a missing model, cancel, retry and watch. */
export class JobLoad extends Load {
  readonly #stories: Story[];
  readonly #receiver: string;
  readonly watchers: Watcher[] = [];
  /** Runs whose cancellation was answered with 202: `<job>.<run>`. */
  readonly cancelled = new Set<string>();
  /** The kind of work of each job, and whether it has a webhook. */
  readonly jobs = new Map<string, { work: Work; webhook: boolean }>();
  readonly #watching: Promise<void>[] = [];
  readonly #cancelledDesktops = new Set<string>();

  /** @param receiver the URL for webhooks */
  constructor(url: string, random: Random, submissions: number, receiver: string) {
    super(url, submissions);
    this.#stories = plan(random, submissions);
    this.#receiver = receiver;
  }

  protected async playStories(): Promise<void> {
    await playAll(this.#stories, AT_ONCE, (story, index) => this.#play(story, index));
    await Promise.all(this.#watching);
  }

  override get gone(): Set<string> {
    return new Set([...super.gone, ...this.#cancelledDesktops]);
  }

  mayEnd({ id, kind, state, error }: EndedJob): boolean {
    if (kind === 'container.stop') return state === 'completed';
    const wanted = this.jobs.get(id)?.work === 'missing' ? 'failed' : 'completed';
    if (state === 'failed' && error?.code !== 'model_missing') return false;
    const cancelled = [...this.cancelled].some((run) => run.startsWith(`${id}.`));
    // A start whose stop came first ends cancelled as well.
    return state === wanted || (state === 'cancelled' && (cancelled || kind === 'container.start'));
  }

  async #play(story: Story, index: number): Promise<void> {
    const random = new Random(story.seed);
    const { user, work, webhook } = story;
    const asked = this.ask(this.#first(story, index));
    await this.submit(asked, random);
    const [jobId] = asked.jobIds;
    if (asked.outcome !== 'acknowledged' || jobId === undefined) return;
    this.jobs.set(jobId, { work, webhook });
    if (story.watched) this.#follow(user, jobId);

    let cancelled = false;
    if (story.cancelAfterMs !== undefined) {
      await sleep(story.cancelAfterMs);
      cancelled = await this.#cancel(asked, jobId, random);
    }
    const state = cancelled ? 'cancelled' : await this.watch(asked);
    if (work === 'desktop') {
      if (cancelled) this.#cancelledDesktops.add(asked.containerId);
      else await this.#stop(asked, index, random);
    } else if (story.retry && (state === 'failed' || state === 'cancelled')) {
      const again = this.ask(ask(user, 'retry', `retry-${index}`, jobId));
      await this.submit(again, random);
      if (again.outcome === 'acknowledged') await this.watch(again);
    }
  }

  #first({ user, work, webhook }: Story, index: number): Ask {
    const webhookFields = webhook ? { webhookUrl: `${this.#receiver}/user/${user}` } : {};
    if (work === 'desktop') return ask(user, 'start', `start-${index}`, '', webhookFields);
    const what =
      work === 'reading' ? { model: OCR_MODEL, image: IMAGE } : { model: MISSING, prompt: 'hello' };
    return ask(user, 'inference', `infer-${index}`, '', { ...what, ...webhookFields });
  }

  async #stop(start: Ask, index: number, random: Random): Promise<void> {
    const stop = this.ask(ask(start.user, 'stop', `stop-${index}`, start.containerId));
    await this.submit(stop, random);
    const [stopId] = stop.jobIds;
    if (stopId !== undefined) this.jobs.set(stopId, { work: 'desktop', webhook: false });
    await this.watch(stop);
  }

  /** @returns whether the first run ended as cancelled */
  async #cancel({ user, key }: Ask, jobId: string, random: Random): Promise<boolean> {
    const cancelled = await this.client.cancel(user, jobId, () => random.int(150, 700));
    if (cancelled === undefined) {
      this.observations.push({
        invariant: 'everything ends',
        subject: jobId,
        detail: `${key}: the outcome of its cancellation stayed unknown`,
      });
    }
    if (cancelled) this.cancelled.add(`${jobId}.1`);
    return cancelled === true;
  }

  #follow(user: string, jobId: string): void {
    const watcher = new Watcher(user, jobId);
    this.watchers.push(watcher);
    this.#watching.push(watcher.watch(this.client, WATCH_WITHIN_MS));
  }
}

function plan(random: Random, submissions: number): Story[] {
  const stories: Story[] = [];
  let planned = 0;
  let watched = 0;
  const share = WATCHED / submissions;
  while (planned < submissions) {
    const fate = random.next();
    const work = fate < 0.03 ? 'desktop' : fate < 0.09 ? 'reading' : 'missing';
    const cancels = random.chance(work === 'missing' ? 0.05 : 0.2);
    const watches = watched < WATCHED && random.chance(Math.min(1, 1.2 * share));
    stories.push({
      user: random.pick(USERS),
      seed: random.int(1, 2 ** 31),
      work,
      webhook: random.chance(0.5),
      watched: watches,
      cancelAfterMs: cancels ? (random.chance(0.4) ? 0 : random.int(10, 1500)) : undefined,
      retry: random.chance(work === 'reading' ? 0.5 : 0.05),
    });
    if (watches) watched += 1;
    planned += work === 'desktop' ? 2 : 1;
  }
  return stories;
}
