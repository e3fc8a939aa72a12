import { LABELS } from '../../../workers/containers/spec.ts';
import { edgeOf } from '../e2e/client.ts';
import { createStack } from '../e2e/stack.ts';
import { startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { UNLIMITED } from './client.ts';
import { median, percentile, report } from './report.ts';

/**
 * Compares `true` run by `POST /containers/:id/exec` with `Prefer: wait`, through the complete stack, with the
 * same program run by hand through the engine's API, in turns.
 */
const REQUESTS = Number(process.env.REQUESTS ?? 100);
/** Requests before the first that counts. */
const WARM_UP = Number(process.env.WARM_UP ?? 10);

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
  const label = [`${LABELS.container}=${containerId}`];
  const [{ Id = '' } = {}] = await docker.listContainers({ filters: { label } });
  const byHand = async () => {
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
  const times: { api: number[]; hand: number[] } = { api: [], hand: [] };
  for (let request = -WARM_UP; request < REQUESTS; request++) {
    const api = await timed(byApi);
    const hand = await timed(byHand);
    if (request < 0) continue;
    times.api.push(api);
    times.hand.push(hand);
  }
  const p50 = median(times.api);
  const met = report('exec of `true`', [
    { name: 'by hand through the engine, p50', value: median(times.hand), unit: 'ms' },
    { name: 'by hand through the engine, p95', value: percentile(times.hand, 95), unit: 'ms' },
    { name: '`Prefer: wait`, p95', value: percentile(times.api, 95), unit: 'ms' },
    { name: '`Prefer: wait`, p50', value: p50, unit: 'ms', target: { atMost: 150 } },
    {
      name: '`Prefer: wait` / by hand, p50',
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
