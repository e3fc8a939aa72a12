import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureImage, SERVICES } from '../images/build.ts';
import { makeTokens } from '../local/stack/secrets.ts';
import { ENGINE_WITHIN_MS, startEngine, type TestEngine } from '../quality/testing/docker.ts';
import { freePort } from '../quality/testing/port.ts';
import { Compose, foreignImages } from './compose.ts';

const WITHIN_MS = 20 * 60_000;
const PROJECT = `warmwind-test-${process.pid}`;
const secret = () => randomBytes(32).toString('hex');

let engine: TestEngine;
let compose: Compose;
let dir: string;
let edge: string;
let tlsPort: number;
let boardPort: number;
let relayMetrics: number;
let workerMetrics: number;
const authSecret = secret();
const adminPassword = secret();

beforeAll(async () => {
  engine = await startEngine();
  for (const service of SERVICES) await ensureImage(engine.socket, service);
  const [edgePort, relayPort] = [await freePort(), await freePort()];
  [tlsPort, boardPort] = [await freePort(), await freePort()];
  [relayMetrics, workerMetrics] = [await freePort(), await freePort()];
  edge = `http://127.0.0.1:${edgePort}`;
  dir = await mkdtemp(join(tmpdir(), 'warmwind-compose-'));
  const env = {
    ...(await foreignImages(engine.docker)),
    AUTH_SECRET: authSecret,
    WEBHOOK_SECRET: secret(),
    GATEWAY_TOKEN: secret(),
    REDIS_PASSWORD: secret(),
    LEDGER_PASSWORD: secret(),
    ADMIN_PASSWORD: adminPassword,
    FLEET: PROJECT,
    EDGE_PORT: `${edgePort}`,
    RELAY_PORT: `${relayPort}`,
    TLS_PORT: `${tlsPort}`,
    BOARD_PORT: `${boardPort}`,
    RELAY_METRICS_PORTS: `${relayMetrics}-${relayMetrics + 7}`,
    GATEWAY_METRICS_PORT: `${await freePort()}`,
    WORKER_1_METRICS_PORT: `${workerMetrics}`,
    WORKER_2_METRICS_PORT: `${await freePort()}`,
    TLS_DIR: await tlsDir(),
    RELAY_URL: `http://127.0.0.1:${relayPort}`,
    EDGE_ORIGINS: edge,
  };
  compose = await Compose.create(dir, PROJECT, env, engine.socket);
}, ENGINE_WITHIN_MS + WITHIN_MS);

afterAll(async () => {
  await compose?.run('down', '--volumes', '--timeout', '5').catch(() => undefined);
  if (dir) await rm(dir, { recursive: true, force: true });
}, WITHIN_MS);

/** A folder with a certificate of its own authority for both names, which nginx's user may read. */
async function tlsDir(): Promise<string> {
  const folder = join(dir, 'tls');
  const at = (name: string) => join(folder, name);
  await mkdir(folder, { mode: 0o755 });
  const names = 'subjectAltName=DNS:api.warmwind.test,DNS:relay.warmwind.test';
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    at('tls.key'),
  ];
  const args = ['req', '-x509', '-days', '1', '-subj', '/CN=warmwind.test', '-addext', names, ...key];
  execFileSync('openssl', [...args, '-out', at('tls.crt')], { stdio: 'ignore' });
  await chmod(at('tls.key'), 0o644);
  return folder;
}

/** The project's containers in any state. */
async function containers() {
  const filters = { label: [`com.docker.compose.project=${PROJECT}`] };
  const found = await engine.docker.listContainers({ all: true, filters });
  return Promise.all(found.map(({ Id }) => engine.docker.getContainer(Id).inspect()));
}

it(
  'starts with two relays and two workers, each healthy',
  async () => {
    await compose.run('up', '--detach');
    const all = await containers();
    const named = (part: string) => all.filter(({ Name }) => Name.includes(part));
    expect([named('relay').length, named('worker').length, all.length]).toEqual([2, 2, 11]);
    const unwell = all.filter(({ State }) => !State.Running || State.Health?.Status === 'unhealthy');
    expect(unwell.map(({ Name }) => Name)).toEqual([]);
  },
  WITHIN_MS,
);

/** The output of `npm run smoke`, which is run after every deployment. */
async function smoke(url: string, env: Record<string, string> = {}): Promise<string> {
  const { user } = await makeTokens(authSecret);
  const names = ['--import', join(import.meta.dirname, 'loopback.mjs')];
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...names, join(import.meta.dirname, '../operations/smoke/main.ts'), '--edge', url],
      { env: { ...process.env, WARMWIND_TOKEN: user, ...env } },
      (_, stdout) => resolve(stdout),
    );
  });
}

it('serves the main trace, by the command that is run after every deployment', async () => {
  const output = await smoke(edge);
  expect(output).toMatch(/^all checks passed$/m);
  expect(output).toMatch(/^ok .*reads the text on the screen .*ocr-eng/m);
});

it('shows its metrics to a Prometheus on this machine', async () => {
  const text = async (port: number) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const ports = (await compose.run('ps')).matchAll(/127\.0\.0\.1:(\d+)->8788/g);
  const relays = await Promise.all([...ports].map(([, port]) => text(Number(port))));
  expect(relays).toHaveLength(2);
  for (const metrics of relays) expect(metrics).toContain('warmwind_relay_');
  expect(await text(workerMetrics)).toContain('warmwind_');
});

it('shows its queues to operators on this machine, who know the password', async () => {
  const board = (headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${boardPort}/api/queues`, { headers }).then(({ status }) => status);
  expect(await board()).toBe(401);
  expect(await board({ Authorization: `Basic ${btoa(`admin:${adminPassword}`)}` })).toBe(200);
});

it('runs our services without root, capabilities or a writable disk, and keeps data in networks of its own', async () => {
  const networks = await engine.docker.listNetworks({
    filters: { label: [`com.docker.compose.project=${PROJECT}`] },
  });
  const internal = networks.filter(({ Internal }) => Internal).map(({ Name }) => Name.split('_').at(-1));
  expect(internal.sort()).toEqual(['data', 'services']);
  for (const { Name, Config, HostConfig, NetworkSettings } of await containers()) {
    if (/postgres/.test(Name)) continue;
    expect([Name, Config.User]).toEqual([Name, expect.stringMatching(/^[1-9]\d*:[1-9]\d*$/)]);
    expect([Name, HostConfig.CapDrop]).toEqual([Name, ['ALL']]);
    expect([Name, HostConfig.ReadonlyRootfs]).toEqual([Name, true]);
    const published = Object.values(NetworkSettings.Ports ?? {}).flatMap((at) => at ?? []);
    expect([Name, published.every(({ HostIp }) => HostIp === '127.0.0.1')]).toEqual([Name, true]);
    expect([Name, published.length > 0]).toEqual([Name, /nginx|worker-1/.test(Name)]);
  }
});

it(
  'serves the main trace over TLS by the names of edge and relay, to clients that trust its authority',
  async () => {
    const at = (name: string) => `https://${name}.warmwind.test:${tlsPort}`;
    await compose.configure({
      NGINX_CONF: 'nginx.tls.conf',
      RELAY_URL: at('relay'),
      EDGE_ORIGINS: at('api'),
    });
    await compose.run('up', '--detach');
    const output = await smoke(at('api'), { NODE_EXTRA_CA_CERTS: join(dir, 'tls/tls.crt') });
    expect(output).toMatch(/^all checks passed$/m);
    expect(output).toContain(`relay.warmwind.test:${tlsPort}`);
    expect(await smoke(at('api'))).toMatch(/^FAILED .*not trusted here.*NODE_EXTRA_CA_CERTS/m);
  },
  WITHIN_MS,
);

it('stops in time: every part finishes its work before it would be killed', async () => {
  await compose.run('stop');
  const ended = (await containers()).map(({ Name, State }) => [
    Name.replace(`/${PROJECT}`, ''),
    State.ExitCode,
  ]);
  expect(ended.filter(([, code]) => code !== 0)).toEqual([]);
}, 180_000);
