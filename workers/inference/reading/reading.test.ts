import { readdirSync, readFileSync } from 'node:fs';
import { OCR_MODEL, type ReadingResult } from '@warmwind/shared/contract/inference';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../../infra/quality/testing/docker.ts';
import { waitFor } from '../../../infra/quality/testing/wait.ts';
import { createFleet, type Fleet, killed, reached, type Worker, waitForEvents } from '../../testing/fleet.ts';
import { startModelServer } from '../../testing/model-server.ts';
import type { Submitted } from '../../testing/submissions.ts';
import { bmp, bomb, noisePng, png } from './testing/png.ts';

const SCREEN = readFileSync(new URL('testing/screen.png', import.meta.url)).toString('base64');
/** 16 megapixels without text, which take much time and memory to read. */
const STRIPES = png(4000, 4000, (bytes, y) => bytes.fill(y & 2 ? 0xcc : 0x33)).toString('base64');

let fleet: Fleet;
let workers: Worker[] = [];
const asked: Submitted[] = [];
beforeAll(async () => {
  fleet = await createFleet();
}, ENGINE_WITHIN_MS);
afterEach(async () => {
  // Jobs of one test must not run in the next.
  await Promise.all(asked.splice(0).map((job) => fleet.cancel(job)));
  await Promise.all(workers.map((worker) => worker.stop()));
  workers = [];
});
afterAll(() => fleet?.stop());

const work = async (host: string, more: Record<string, string> = {}): Promise<Worker> => {
  const worker = await fleet.worker(host, more);
  workers.push(worker);
  return worker;
};
const read = async (image: string): Promise<Submitted> => {
  const job = await fleet.ask({ model: OCR_MODEL, image });
  asked.push(job);
  return job;
};

/** Finds the forks of a worker that read images. */
function readersOf(worker: number | undefined): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        const ours = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('reading/program.ts');
        return ours && readFileSync(`/proc/${pid}/status`, 'utf8').includes(`\nPPid:\t${worker}\n`);
      } catch {
        return false;
      }
    });
}

test('the text of an image is read, with boxes, and progress is published', async () => {
  await work('a');
  const job = await read(SCREEN);
  const result = (await reached(fleet, job, 'completed')).result as ReadingResult;
  expect(result).toMatchObject({ model: OCR_MODEL, width: 900, height: 220 });
  expect(result.text.split('\n')).toEqual([
    'Warmwind reads what stands on a screen.',
    'Invoice 4711 total 129.50 EUR',
    'Sign in Cancel Help',
  ]);
  // The image is deleted with the end of the job.
  expect(await fleet.queueRedis.client.exists(keys.input(job.userId, job.jobId))).toBe(0);
  expect(result.boxes.map(({ text }) => text).join(' ')).toBe(result.text.replaceAll('\n', ' '));
  for (const { confidence, x, y, width, height } of result.boxes) {
    expect(confidence).toBeGreaterThan(50);
    expect(x >= 0 && y >= 0 && x + width <= 900 && y + height <= 220 && width * height > 0).toBe(true);
  }
  const { x, y, height } = result.boxes.find(({ text }) => text === 'Invoice') ?? { x: 0, y: 0, height: 0 };
  expect([x, y + height].map((pixels) => Math.round(pixels / 10))).toEqual([2, 9]);
  expect(result.queueMs).toBeGreaterThanOrEqual(0);
  expect(result.runMs).toBeGreaterThan(0);
  const events = await waitForEvents(fleet, job, `job:${job.jobId}`, 'job.completed');
  const percents = events.flatMap(({ type, data }) =>
    type === 'job.progress' ? [Number(data.percent)] : [],
  );
  expect(percents).toEqual([...percents].sort((a, b) => a - b));
  expect(percents).toEqual(expect.arrayContaining([10, 30, 100]));
});

test('malformed and too large images fail at once with invalid_image', async () => {
  await work('a');
  const images = [
    Buffer.from('no image'),
    bomb(100_000, 100_000),
    bomb(4000, 4001),
    bomb(40, 40),
    png(1, 1_000_000, () => undefined),
    png(1_000_000, 1, () => undefined),
    png(2, 32_768, () => undefined),
    bmp(300, 73).subarray(0, 9000),
  ];
  for (const image of images) {
    const job = await read(image.toString('base64'));
    expect(await reached(fleet, job, 'failed')).toMatchObject({
      attemptsMade: 1,
      error: { code: 'invalid_image', retryable: false },
    });
  }
});

test('an image of one column with the maximum side is read', async () => {
  await work('a');
  const job = await read(png(1, 32_767, () => undefined).toString('base64'));
  expect((await reached(fleet, job, 'completed')).result).toMatchObject({
    width: 1,
    height: 32_767,
    text: '',
  });
});

test('an image that takes all memory of its fork fails only its own job', async () => {
  await work('a', { SANDBOX_MEMORY_MB: '64' });
  const jobs = [await read(STRIPES), await read(SCREEN)] as const;
  expect(await reached(fleet, jobs[0], 'failed')).toMatchObject({
    attemptsMade: 1,
    error: { code: 'out_of_memory', retryable: false },
  });
  await reached(fleet, jobs[1], 'completed');
});

test('while endless readings of one user run, a text and a reading of another user complete', async () => {
  const server = await startModelServer(['m']);
  await work('a', { MODEL_SERVERS: server.url });
  const noise = noisePng(1600, 1000).toString('base64');
  const attack = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const job = await fleet.ask({ model: OCR_MODEL, image: noise }, 'greedy', { timeoutMs: 3_600_000 });
      asked.push(job);
      return job;
    }),
  );
  const states = async () =>
    (await Promise.all(attack.map((job) => fleet.job(job)))).map((job) => job?.state);
  await waitFor('the attack to run', async () => (await states()).includes('active'));
  const text = await fleet.ask({ model: 'm', prompt: 'Hi' }, 'ada');
  const reading = await fleet.ask({ model: OCR_MODEL, image: SCREEN }, 'ada');
  await reached(fleet, text, 'completed');
  await reached(fleet, reading, 'completed');
  expect((await states()).sort()).toEqual(['active', ...Array(5).fill('queued')]);
  await server.stop();
});

test('a reading in the queue of other models is moved to the queue of readings', async () => {
  await work('a');
  const input = JSON.stringify({ model: OCR_MODEL, image: SCREEN });
  const job = await fleet.infer('ada');
  await fleet.queueRedis.client.set(keys.input('ada', job.jobId), input);
  await reached(fleet, job, 'completed');
  expect(await fleet.queueRedis.client.hget(keys.job('ada', job.jobId), 'queue')).toBe('ai-readings');
});

test('a job whose image is lost fails with input_missing', async () => {
  const job = await read(SCREEN);
  await fleet.queueRedis.client.del(keys.input(job.userId, job.jobId));
  await fleet.ledger.run((db) => db.execute(`delete from job_inputs where job_id = '${job.jobId}'`));
  await work('a');
  expect(await reached(fleet, job, 'failed')).toMatchObject({ error: { code: 'input_missing' } });
});

test('a killed fork costs its job one attempt, and later jobs complete', async () => {
  await work('a');
  const job = await read(STRIPES);
  const [fork] = await waitFor('a fork', () => {
    const found = readersOf(process.pid);
    return found.length > 0 && found;
  });
  await waitFor('it to read', async () => ((await fleet.job(job))?.progress ?? 0) >= 30);
  process.kill(fork ?? 0, 'SIGKILL');
  const delayed = await reached(fleet, job, 'delayed');
  expect(delayed).toMatchObject({ attemptsMade: 1 });
  await reached(fleet, await read(SCREEN), 'completed');
});

test('the fork of a cancelled job is killed during its work', async () => {
  await work('a');
  const job = await read(STRIPES);
  await waitFor('it to read', async () => ((await fleet.job(job))?.progress ?? 0) >= 30);
  expect(readersOf(process.pid)).toHaveLength(1);
  await fleet.cancel(job);
  await waitFor('the fork to be gone', () => readersOf(process.pid).length === 0);
  expect(await fleet.job(job)).toMatchObject({ state: 'cancelled' });
});

test('a stopping worker requeues its job for a peer and leaves no fork', async () => {
  const first = await work('a');
  const job = await read(STRIPES);
  await waitFor('it to read', async () => ((await fleet.job(job))?.progress ?? 0) >= 30);
  workers = [];
  await first.stop();
  expect(readersOf(process.pid)).toEqual([]);
  expect(await fleet.job(job)).toMatchObject({ state: 'queued', attemptsMade: 0 });
  await work('b');
  await waitFor('the peer to read', async () => (await fleet.job(job))?.state === 'active');
});

test('a worker that is killed leaves no fork', async () => {
  const worker = fleet.process('k');
  await read(STRIPES);
  const forks = await waitFor('a fork', () => {
    const found = readersOf(worker.pid);
    return found.length > 0 && found;
  });
  await killed(worker);
  const alive = (pid: number) => readersOf(1).includes(pid) || readersOf(worker.pid).includes(pid);
  await waitFor('the forks to be gone', () => !forks.some(alive));
});

test('a worker publishes the models that it serves, and withdraws them when it drains', async () => {
  const models = () => fleet.queueRedis.client.zrange(keys.models(), '0', '-1');
  const worker = await work('m');
  await waitFor('the model to be published', async () => (await models()).includes(`m ${OCR_MODEL}`));
  workers = [];
  await worker.stop();
  expect(await models()).not.toContain(`m ${OCR_MODEL}`);
});

test("any worker reads a desktop's screen, for jobs of its owner only", async () => {
  const [first] = [await work('a'), await work('b')];
  expect(first.host).toBe('a');
  const desktop = await fleet.startDesktop();
  await reached(fleet, desktop, 'completed');
  const { userId, containerId } = desktop;
  const read = () => fleet.ask({ model: OCR_MODEL, containerId }, userId);
  await waitFor('the words on the screen', async () => {
    const { result } = await reached(fleet, await read(), 'completed');
    const { text } = result as ReadingResult;
    return text.includes('Terminal') && text.includes('Debian');
  });
  const stranger = await fleet.ask({ model: OCR_MODEL, containerId }, 'stranger');
  expect((await reached(fleet, stranger, 'failed')).error).toMatchObject({ code: 'not_found' });
});
