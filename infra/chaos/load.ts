import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal } from '@warmwind/shared/jobs';
import { type Ask, ask, Client } from './client.ts';
import { Random } from './random.ts';

const USERS = ['ada', 'ben', 'cleo', 'dan', 'eve'] as const;
/** Desktops that are asked for and not yet gone, at any time; most of them wait in the queue. */
const AT_ONCE = 24;
/** Desktops that stay to the end. */
const STAYING = 6;
/** How long a client waits for its job's end before it goes on with other things, ms. */
const WATCH_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 1000;

/** What a client does with one desktop. */
type Story = {
  user: string;
  seed: number;
  /** The start is sent twice at the same time, under one key. */
  startTwice: boolean;
  /** When its stop is asked for, ms after its start was acknowledged or has ended; never for one that stays. */
  stop: { afterMs: number; whenItRuns: boolean } | undefined;
  /** Two stops at the same time, under two keys. */
  stopTwice: boolean;
  /** Both submissions are repeated after the end. */
  repeat: boolean;
};

/** What clients saw that must not be. */
export type Sight = { law: string; subject: string; detail: string };

/** Seeded clients against one edge, and all they know. */
export class Load {
  readonly asks: Ask[] = [];
  readonly sights: Sight[] = [];
  readonly submissions: number;
  readonly #client: Client;
  readonly #stories: Story[];
  #done = false;

  constructor(url: string, random: Random, submissions: number) {
    this.#client = new Client(url);
    this.#stories = plan(random, submissions);
    this.submissions = submissions;
  }

  get acknowledged(): Ask[] {
    return this.asks.filter(({ outcome }) => outcome === 'acknowledged');
  }

  get done(): boolean {
    return this.#done;
  }

  /** Resolves when `share` of all submissions are acknowledged, or the load is over. */
  async reached(share: number): Promise<void> {
    while (!this.#done && this.acknowledged.length < share * this.submissions) await sleep(20);
  }

  /** Every story, `AT_ONCE` at a time. */
  async run(): Promise<void> {
    const left = this.#stories.entries();
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const [index, story] of left) await this.#play(story, index);
      }),
    );
    this.#done = true;
  }

  /** Asks again, with the same keys, for what was acknowledged long ago: nothing new may come of it. */
  async repeat(random: Random, atMost: number): Promise<void> {
    const chosen = this.acknowledged
      .map((asked) => ({ asked, order: random.next() }))
      .sort((a, b) => a.order - b.order)
      .slice(0, atMost)
      .map(({ asked }) => asked);
    for (const asked of chosen) await this.#submit(asked, random);
  }

  async #play(story: Story, index: number): Promise<void> {
    const random = new Random(story.seed);
    const { user, stop } = story;
    const start = this.#ask(ask(user, 'start', `start-${index}`));
    const starts = [this.#submit(start, random)];
    if (story.startTwice) starts.push(this.#submit(start, random));
    await Promise.all(starts);
    if (start.outcome !== 'acknowledged') return;
    if (!stop || stop.whenItRuns) await this.#watch(start);
    if (!stop) return;

    await sleep(stop.afterMs);
    const stops = [this.#ask(ask(user, 'stop', `stop-${index}`, start.containerId))];
    if (story.stopTwice) stops.push(this.#ask(ask(user, 'stop', `stop-again-${index}`, start.containerId)));
    await Promise.all(stops.map((asked) => this.#submit(asked, random)));
    await Promise.all([start, ...stops].map((asked) => this.#watch(asked)));
    if (story.repeat) for (const asked of [start, ...stops]) await this.#submit(asked, random);
  }

  #ask(asked: Ask): Ask {
    this.asks.push(asked);
    return asked;
  }

  async #submit(asked: Ask, random: Random): Promise<void> {
    const known = asked.outcome === 'acknowledged';
    await this.#client.submit(asked, () => random.int(150, 700));
    const { status, code, kind, key, user } = asked;
    const subject = [...asked.jobIds][0] ?? asked.containerId;
    const said = `${kind} ${key} of ${user}: ${status} ${code}`;
    if (known && status !== 202 && status !== 503 && status !== 0) {
      this.sights.push({ law: 'one key, one job', subject, detail: `refused when repeated, ${said}` });
    } else if (asked.outcome === 'refused' && !(kind === 'stop' && status === 409)) {
      this.sights.push({ law: 'acknowledged means recorded', subject, detail: said });
    }
  }

  /** Looks at its job as its owner does, until it has ended. */
  async #watch(asked: Ask): Promise<void> {
    const [jobId] = asked.jobIds;
    if (jobId === undefined) return;
    const deadline = Date.now() + WATCH_WITHIN_MS;
    while (Date.now() < deadline) {
      const job = await this.#client.job(asked.user, jobId);
      if (job === 404) {
        const detail = `GET /jobs/:id answered 404 for an acknowledged job (${asked.kind} ${asked.key})`;
        this.sights.push({ law: 'acknowledged means recorded', subject: jobId, detail });
        return;
      }
      if (typeof job !== 'number' && isTerminal(job.state)) return;
      await sleep(LOOK_EVERY_MS);
    }
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
