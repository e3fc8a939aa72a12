import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './client.ts';
import { type EndedJob, Load, playAll, USERS } from './load.ts';
import { Random } from './random.ts';

/** Desktops that are requested and not yet removed, at any time; most of them wait in the queue. */
const AT_ONCE = 24;
/** Desktops that run until the end. */
const STAYING = 6;

/** The actions of a client on one desktop. */
type Story = {
  user: string;
  seed: number;
  /** The start is sent twice at the same time, under one key. */
  startTwice: boolean;
  /** When it is stopped, ms after its start was acknowledged or has ended; undefined for one that stays. */
  stop: { afterMs: number; whenItRuns: boolean } | undefined;
  /** Two stops at the same time, under two keys. */
  stopTwice: boolean;
  /** Both submissions are repeated after the end. */
  repeat: boolean;
};

/** Clients that start and stop desktops. */
export class DesktopLoad extends Load {
  readonly #stories: Story[];

  constructor(url: string, random: Random, submissions: number) {
    super(url, submissions);
    this.#stories = plan(random, submissions);
  }

  protected playStories(): Promise<void> {
    return playAll(this.#stories, AT_ONCE, (story, index) => this.#play(story, index));
  }

  mayEnd({ kind, state }: EndedJob): boolean {
    return state === 'completed' || (kind === 'container.start' && state === 'cancelled');
  }

  async #play(story: Story, index: number): Promise<void> {
    const random = new Random(story.seed);
    const { user, stop } = story;
    const start = this.ask(ask(user, 'start', `start-${index}`));
    const starts = [this.submit(start, random)];
    if (story.startTwice) starts.push(this.submit(start, random));
    await Promise.all(starts);
    if (start.outcome !== 'acknowledged') return;
    if (!stop || stop.whenItRuns) await this.watch(start);
    if (!stop) return;

    await sleep(stop.afterMs);
    const stops = [this.ask(ask(user, 'stop', `stop-${index}`, start.containerId))];
    if (story.stopTwice) stops.push(this.ask(ask(user, 'stop', `stop-again-${index}`, start.containerId)));
    await Promise.all(stops.map((asked) => this.submit(asked, random)));
    await Promise.all([start, ...stops].map((asked) => this.watch(asked)));
    if (story.repeat) for (const asked of [start, ...stops]) await this.submit(asked, random);
  }
}

function plan(random: Random, submissions: number): Story[] {
  const stories: Story[] = [];
  let planned = 0;
  let staying = 0;
  while (planned < submissions) {
    const stays = staying < STAYING && random.chance(0.08);
    const stopTwice = !stays && random.chance(0.1);
    // Before it is placed, while it waits or starts, or when it runs.
    const fate = random.next();
    const afterMs = fate < 0.15 ? 0 : random.int(50, 1500);
    const stop = { afterMs, whenItRuns: fate > 0.35 };
    stories.push({
      user: random.pick(USERS),
      seed: random.int(1, 2 ** 31),
      startTwice: random.chance(0.15),
      stop: stays ? undefined : stop,
      stopTwice,
      repeat: random.chance(0.25),
    });
    if (stays) staying += 1;
    planned += stays ? 1 : stopTwice ? 3 : 2;
  }
  return stories;
}
