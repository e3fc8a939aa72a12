import { edgeOf } from '../e2e/client.ts';
import { instanceOf } from '../e2e/instance.ts';
import { createStack } from '../e2e/stack.ts';
import { startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { UNLIMITED } from './client.ts';
import { median, percentile, report } from './report.ts';

/**
 * Measures `POST /containers/:id/pause` and `…/resume` with `Prefer: wait`, through the complete stack, in turns
 * with an empty job of the same lane, a resumption of a desktop that runs, and with the engine's API.
 */
const REQUESTS = Number(process.env.REQUESTS ?? 100);
/** Requests before the first that counts. */
const WARM_UP = Number(process.env.WARM_UP ?? 5);

const { docker } = await startEngine();
const stack = createStack({ ...UNLIMITED, MODEL_SERVER: 'off' });

/** Measures one run, ms. */
async function timed(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await run();
  return performance.now() - begun;
}

try {
  await stack.start();
  const edge = edgeOf(stack.file());
  const { containerId } = await edge.startContainer({}, { waitMs: 10_000 });
  await waitFor(
    'the desktop',
    async () => (await edge.getContainer(containerId)).state === 'running',
    60_000,
  );
  const engine = docker.getContainer(await instanceOf(stack, containerId));
  const job = async (kind: 'container.pause' | 'container.resume') => {
    const { job } = await edge.command(kind, { containerId }, { waitMs: 10_000 });
    if (job?.state !== 'completed') throw new Error(`the job is ${job?.state ?? 'not ended'}`);
  };
  const times: Record<'pause' | 'resume' | 'empty' | 'enginePause' | 'engineResume', number[]> = {
    pause: [],
    resume: [],
    empty: [],
    enginePause: [],
    engineResume: [],
  };
  for (let request = -WARM_UP; request < REQUESTS; request++) {
    const turn = {
      pause: await timed(() => job('container.pause')),
      resume: await timed(() => job('container.resume')),
      empty: await timed(() => job('container.resume')),
      enginePause: await timed(() => engine.pause()),
      engineResume: await timed(() => engine.unpause()),
    };
    if (request < 0) continue;
    for (const name of Object.keys(turn) as (keyof typeof turn)[]) times[name].push(turn[name]);
  }
  const rows = (name: string, all: number[], ofEngine: number[]) => [
    { name: `${name}, p50`, value: median(all), unit: 'ms' as const },
    { name: `${name}, p95`, value: percentile(all, 95), unit: 'ms' as const },
    { name: `${name} by the engine's API, p50`, value: median(ofEngine), unit: 'ms' as const },
    { name: `${name} / an empty job, p50`, value: median(all) / median(times.empty), unit: '' as const },
  ];
  report('pause and resume of a desktop', [
    { name: 'an empty job, p50', value: median(times.empty), unit: 'ms' },
    ...rows('pause', times.pause, times.enginePause),
    ...rows('resume', times.resume, times.engineResume),
  ]);
} finally {
  await stack.remove();
}
process.exit();
