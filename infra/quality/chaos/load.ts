import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type JobState } from '@warmwind/shared/contract/jobs';
import { type Ask, Client } from './client.ts';
import type { Random } from './random.ts';

export const USERS = ['ada', 'ben', 'cleo', 'dan', 'eve'] as const;
/** How long a client waits for its job's end before its next action, ms. */
const WATCH_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 1000;

/** A job that has ended, by the ledger. */
export type EndedJob = { id: string; kind: string; state: JobState; error: { code?: string } | null };

/** A violated invariant that a client observed. */
export type Observation = { invariant: string; subject: string; detail: string };

/** Seeded clients of one edge, with all that they submitted and observed. */
export abstract class Load {
  readonly asks: Ask[] = [];
  readonly observations: Observation[] = [];
  readonly submissions: number;
  protected readonly client: Client;
  #done = false;

  constructor(url: string, submissions: number) {
    this.client = new Client(url);
    this.submissions = submissions;
  }

  /** Plays every story, some at the same time. */
  protected abstract playStories(): Promise<void>;

  /** Desktops that must not run at the end. */
  get gone(): Set<string> {
    return new Set(this.asks.filter(({ kind }) => kind === 'stop').map(({ containerId }) => containerId));
  }

  /** Whether the last run of such a job may end in this state. */
  abstract mayEnd(job: EndedJob): boolean;

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

  async run(): Promise<void> {
    await this.playStories();
    this.#done = true;
  }

  /** Repeats acknowledged submissions with the same keys: no new job may result. */
  async repeat(random: Random, atMost: number): Promise<void> {
    const chosen = this.acknowledged
      .map((asked) => ({ asked, order: random.next() }))
      .sort((a, b) => a.order - b.order)
      .slice(0, atMost)
      .map(({ asked }) => asked);
    for (const asked of chosen) await this.submit(asked, random);
  }

  protected ask(asked: Ask): Ask {
    this.asks.push(asked);
    return asked;
  }

  protected async submit(asked: Ask, random: Random): Promise<void> {
    const known = asked.outcome === 'acknowledged';
    await this.client.submit(asked, () => random.int(150, 700));
    const { status, code, kind, key, user } = asked;
    const subject = [...asked.jobIds][0] ?? asked.containerId;
    const summary = `${kind} ${key} of ${user}: ${status} ${code}`;
    if (known && status !== 202 && status !== 503 && status !== 0) {
      this.observations.push({
        invariant: 'one key, one job',
        subject,
        detail: `refused when repeated, ${summary}`,
      });
    } else if (asked.outcome === 'refused' && !(['stop', 'retry'].includes(kind) && status === 409)) {
      this.observations.push({ invariant: 'acknowledged means recorded', subject, detail: summary });
    }
  }

  /**
   * Polls a job as its owner, until it has ended.
   * @returns the state in which it ended; undefined when it did not in time
   */
  protected async watch(asked: Ask): Promise<JobState | undefined> {
    const [jobId] = asked.jobIds;
    if (jobId === undefined) return undefined;
    const deadline = Date.now() + WATCH_WITHIN_MS;
    while (Date.now() < deadline) {
      const job = await this.client.job(asked.user, jobId);
      if (job === 404) {
        const detail = `GET /jobs/:id answered 404 for an acknowledged job (${asked.kind} ${asked.key})`;
        this.observations.push({ invariant: 'acknowledged means recorded', subject: jobId, detail });
        return undefined;
      }
      if (typeof job !== 'number' && isTerminal(job.state)) return job.state;
      await sleep(LOOK_EVERY_MS);
    }
    return undefined;
  }
}

/** Plays every story, `atOnce` of them at a time. */
export async function playAll<T>(
  stories: T[],
  atOnce: number,
  play: (story: T, index: number) => Promise<void>,
): Promise<void> {
  const left = stories.entries();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const [index, story] of left) await play(story, index);
    }),
  );
}
