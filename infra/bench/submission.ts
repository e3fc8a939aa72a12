import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildEdge } from '../../edge/build.ts';
import { startEdge } from '../edge/serve.ts';
import { AUTH_SECRET, signToken } from '../edge/testing.ts';
import { startBare } from './bare.ts';
import { spawnGateway } from './gateway.ts';
import { startRecorder } from './recorder.ts';
import { median, percentile, report } from './report.ts';

/**
 * What an accepted `POST /containers/start` costs at the edge, against a bare Worker in the same runtime that makes the
 * same REST trips and nothing else. Rounds alternate, so that a machine's mood meets both alike.
 */
const ROUNDS = Number(process.env.ROUNDS ?? 10);
const REQUESTS = Number(process.env.REQUESTS ?? 400);
const WARM_UP = 8;
const BODY = '{"width":1280,"height":720}';
const UNLIMITED = '{"user":["1000000/s","1000000/min","1000000/h"],"containers.start":["1000000/s"]}';

const dir = await mkdtemp(join(tmpdir(), 'warmwind-bench-'));
const bundle = await buildEdge(dir);
const gateway = await spawnGateway();
const recorder = await startRecorder(gateway.url);
const edgeBindings = {
  UPSTASH_REDIS_REST_TOKEN: gateway.token,
  AUTH_SECRET,
  RELAY_URL: 'http://127.0.0.1',
  RATE_LIMITS: UNLIMITED,
  QUOTAS: '{"jobs":1000000,"desktops":10000}',
  LIMITER_TIMEOUT_MS: '5000',
  SUBMIT_TIMEOUT_MS: '5000',
};
const recorded = await startEdge({
  bundle,
  bindings: { ...edgeBindings, UPSTASH_REDIS_REST_URL: recorder.url },
});
const edge = await startEdge({ bundle, bindings: { ...edgeBindings, UPSTASH_REDIS_REST_URL: gateway.url } });

let users = 0;
const token = await signToken({ sub: 'bench' });
/** Node's plain client on kept connections: what is timed is the edge, not the client's own handling of headers. */
const agent = new Agent({ keepAlive: true });
const submit = (url: string, bearer = token) =>
  new Promise<number>((resolve, reject) => {
    const start = performance.now();
    const sent = request(
      `${url}/containers/start`,
      {
        method: 'POST',
        agent,
        headers: {
          Authorization: `Bearer ${bearer}`,
          'Content-Type': 'application/json',
          'Content-Length': BODY.length,
        },
      },
      (response) => {
        response.resume();
        response.on('end', () => {
          if (response.statusCode === 202) resolve(performance.now() - start);
          else reject(new Error(`${url} answered ${response.statusCode}`));
        });
      },
    );
    sent.on('error', reject);
    sent.end(BODY);
  });
/** One round: `inFlight` requests at once, as a new user so that no quota fills. → ms of each */
const round = async (url: string, inFlight: number) => {
  users += 1;
  const bearer = await signToken({ sub: `bench-${users}` });
  const times: number[] = [];
  let left = REQUESTS;
  const client = async () => {
    while (left-- > 0) times.push(await submit(url, bearer));
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, client));
  return { times, perSecond: (REQUESTS / (performance.now() - start)) * 1000 };
};

// The second submission is the one to record: the first one's trips also teach Redis the scripts.
await submit(recorded.url);
recorder.trips.length = 0;
await submit(recorded.url);
const trips = [...recorder.trips];
await recorded.stop();
recorder.stop();
const bare = await startBare(bundle, trips, gateway);

let met = report('one accepted submission', [
  { name: 'REST trips', value: trips.length, unit: '', target: { atMost: 2 } },
]);
// Both run as they do after a while: the runtime has compiled what is hot.
for (let i = 0; i < WARM_UP; i++) {
  await round(edge.url, 8);
  await round(bare.url, 8);
}
for (const inFlight of [1, 8]) {
  const ours: number[] = [];
  const floor: number[] = [];
  const ratios: number[] = [];
  const throughput: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    const [a, b] = [await round(edge.url, inFlight), await round(bare.url, inFlight)];
    ours.push(...a.times);
    floor.push(...b.times);
    ratios.push(median(a.times) / median(b.times));
    throughput.push(a.perSecond / b.perSecond);
  }
  const title = `POST /containers/start, ${inFlight} in flight, ${ROUNDS} × ${REQUESTS} requests each`;
  met =
    report(title, [
      { name: 'edge p50', value: median(ours), unit: 'ms' },
      { name: 'edge p95', value: percentile(ours, 95), unit: 'ms' },
      { name: 'bare Worker p50', value: median(floor), unit: 'ms' },
      { name: 'bare Worker p95', value: percentile(floor, 95), unit: 'ms' },
      {
        name: 'p50, edge / bare Worker (median of rounds)',
        value: median(ratios),
        unit: '×',
        ...(inFlight === 1 ? { target: { atMost: 1.3 } } : {}),
      },
      { name: 'throughput, edge / bare Worker (median of rounds)', value: median(throughput), unit: '×' },
    ]) && met;
}

agent.destroy();
await edge.stop();
await bare.stop();
await gateway.stop();
await rm(dir, { recursive: true, force: true });
process.exitCode = met ? 0 : 1;
