import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { edgeOf } from '../e2e/client.ts';
import { instanceOf } from '../e2e/instance.ts';
import { createStack } from '../e2e/stack.ts';
import { startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { UNLIMITED } from './client.ts';
import { median, percentile, report } from './report.ts';

/**
 * Compares `true` run by `POST /containers/:id/exec` with `Prefer: wait`, through the complete stack, with the
 * same program run by hand, in turns: by `docker exec`, where that command is installed, and by the engine's
 * API.
 */
const REQUESTS = Number(process.env.REQUESTS ?? 100);
/** Requests before the first that counts. */
const WARM_UP = Number(process.env.WARM_UP ?? 10);

const run = promisify(execFile);
const { docker, socket } = await startEngine();
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
  const { Id } = await docker.getContainer(await instanceOf(stack, containerId)).inspect();
  const byHand = () => run('docker', ['-H', `unix://${socket}`, 'exec', Id, 'true']);
  const isInstalled = await byHand().then(
    () => true,
    () => false,
  );
  const byEngine = async () => {
    const exec = await docker
      .getContainer(Id)
      .exec({ Cmd: ['true'], AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({});
    for await (const _ of stream);
    const { ExitCode } = await exec.inspect();
    if (ExitCode !== 0) throw new Error(`exit code ${ExitCode}`);
  };
  const byApi = async () => {
    const { job } = await edge.exec({ containerId, cmd: ['true'] }, { waitMs: 10_000 });
    if (job?.state !== 'completed') throw new Error(`the job is ${job?.state ?? 'not ended'}`);
  };
  const times: Record<'api' | 'engine' | 'hand', number[]> = { api: [], engine: [], hand: [] };
  for (let request = -WARM_UP; request < REQUESTS; request++) {
    const api = await timed(byApi);
    const engine = await timed(byEngine);
    const hand = isInstalled ? await timed(byHand) : engine;
    if (request < 0) continue;
    times.api.push(api);
    times.engine.push(engine);
    times.hand.push(hand);
  }
  const p50 = median(times.api);
  const met = report('exec of `true`', [
    { name: "the engine's API, p50", value: median(times.engine), unit: 'ms' },
    {
      name: isInstalled ? '`docker exec`, p50' : "`docker exec` is missing: the API's p50",
      value: median(times.hand),
      unit: 'ms',
    },
    { name: '`Prefer: wait`, p95', value: percentile(times.api, 95), unit: 'ms' },
    { name: '`Prefer: wait`, p50', value: p50, unit: 'ms', target: { atMost: 150 } },
    { name: "`Prefer: wait` / the engine's API, p50", value: p50 / median(times.engine), unit: '' },
    {
      name: '`Prefer: wait` / `docker exec`, p50',
      value: p50 / median(times.hand),
      unit: '',
      target: { atMost: 1.5 },
    },
  ]);
  process.exitCode = met ? 0 : 1;
} finally {
  await stack.remove();
}
process.exit();
