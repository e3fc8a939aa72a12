import { stat } from 'node:fs/promises';
import type Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUTH_SECRET } from '../local/edge/testing.ts';
import { startGateway, type TestGateway, TOKEN } from '../local/gateway/testing.ts';
import { poolerAnswers } from '../local/pooler/answers.ts';
import { ENGINE_WITHIN_MS, startEngine, type TestEngine } from '../quality/testing/docker.ts';
import { freePort } from '../quality/testing/port.ts';
import { startRedis, type TestRedis } from '../quality/testing/redis.ts';
import { waitFor } from '../quality/testing/wait.ts';
import { ensureImage, SERVICES, type Service } from './build.ts';

const BUILD_WITHIN_MS = 20 * 60_000;
const PATIENCE_MS = 60_000;
/** The contract's bound: a service has ended by then; an orchestrator kills at 30 s. */
const SHUTDOWN_MS = 25_000;
/** A larger image has a package that no running service needs, or a complete system, MB. */
const BUDGET: Record<Service, number> = { relay: 160, worker: 240, gateway: 160, edge: 300, pooler: 180 };

let engine: TestEngine;
let gateway: TestGateway;
let realtime: TestRedis;
const started: Docker.Container[] = [];

beforeAll(async () => {
  engine = await startEngine();
  [gateway, realtime] = await Promise.all([startGateway(), startRedis()]);
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  for (const container of started) await container.remove({ force: true }).catch(() => undefined);
  await Promise.all([gateway?.stop(), realtime?.stop()]);
});

type Running = { container: Docker.Container; url: string; port: number };

/** As hardened as the deployments run it, on this machine's loopback. */
async function start(service: Service): Promise<Running> {
  const port = await freePort();
  const redis = { REDIS_QUEUE_URL: gateway.redis.url, REDIS_REALTIME_URL: realtime.url };
  const own: Record<Service, Record<string, string>> = {
    relay: { ...redis, AUTH_SECRET },
    worker: {
      ...redis,
      WEBHOOK_SECRET: AUTH_SECRET,
      LEDGER: 'off',
      FLEET: 'images-test',
      WORKER_HOST: 'images-test',
      DATA_DIR: '/',
    },
    gateway: { REDIS_URL: gateway.redis.url, GATEWAY_TOKEN: TOKEN },
    edge: {
      AUTH_SECRET,
      WEBHOOK_SECRET: AUTH_SECRET,
      LEDGER: 'off',
      RELAY_URL: 'http://relay.test',
      UPSTASH_REDIS_REST_URL: gateway.url,
      UPSTASH_REDIS_REST_TOKEN: TOKEN,
    },
    // It answers without PostgreSQL, too.
    pooler: { LEDGER_URL: `postgres://warmwind:${AUTH_SECRET}@127.0.0.1:1/warmwind` },
  };
  const env = { BIND: '127.0.0.1', PORT: `${port}`, SHUTDOWN_TIMEOUT_MS: `${SHUTDOWN_MS}`, ...own[service] };
  const group = service === 'worker' ? [`${(await stat(engine.socket)).gid}`] : [];
  const container = await engine.docker.createContainer({
    Image: `warmwind/${service}:latest`,
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    HostConfig: {
      NetworkMode: 'host',
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': 'size=64m' },
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      GroupAdd: group,
      Binds: service === 'worker' ? [`${engine.socket}:/var/run/docker.sock`] : [],
    },
  });
  started.push(container);
  await container.start();
  return { container, url: `http://127.0.0.1:${port}`, port };
}

const logsOf = async (container: Docker.Container) =>
  (await container.logs({ stdout: true, stderr: true, tail: 20 })).toString();

describe.each(SERVICES)('the image of %s', (service) => {
  it(
    'is built of the sources as they are, once',
    async () => {
      await ensureImage(engine.socket, service);
      const { image, built } = await ensureImage(engine.socket, service);
      expect(built).toBe(false);
      const { Config } = await engine.docker.getImage(image).inspect();
      expect(Config.User).toBe('1000:1000');
      const probe = service === 'pooler' ? 'infra/local/pooler/probe.ts' : '/health/live';
      expect(Config.Healthcheck?.Test).toContain(probe);
      expect(JSON.stringify(Config.Env)).not.toMatch(/SECRET|TOKEN|PASSWORD/);
    },
    BUILD_WITHIN_MS,
  );

  it('starts without rights, gets ready and healthy, and ends on its signal before it would be killed', async () => {
    const { container, url, port } = await start(service);
    const ready = () =>
      service === 'pooler'
        ? poolerAnswers(port)
        : fetch(`${url}/health/ready`).then(
            ({ status }) => status === 200,
            () => false,
          );
    await waitFor('ready', ready, PATIENCE_MS).catch(async (error: Error) => {
      const answer = await fetch(`${url}/health/ready`).then((r) => r.text(), String);
      throw new Error(`${error.message}\n${answer}\n${await logsOf(container)}`);
    });
    const health = async () => (await container.inspect()).State.Health?.Status === 'healthy';
    await waitFor('its own probe', health, PATIENCE_MS);

    const before = performance.now();
    const ended = container.wait();
    await container.kill({ signal: service === 'pooler' ? 'SIGINT' : 'SIGTERM' });
    expect((await ended).StatusCode, await logsOf(container)).toBe(0);
    expect(performance.now() - before).toBeLessThan(SHUTDOWN_MS);
  });

  it('has no shell, no tools to build with, no tests and nothing that runs as another user in it', async () => {
    const { files, setuid } = await insideOf(service);
    const named = (pattern: RegExp) => files.filter((path) => pattern.test(path));
    expect(named(/^\/app\/(relay|workers|edge|infra)\/.*\.ts$/).length).toBeGreaterThan(0);
    expect(named(/bin\/(sh|bash|dash|busybox|apt|dpkg|npm|perl)$/)).toEqual([]);
    expect(named(/\.test\.ts$|\/\.git\/|node_modules\/(typescript|vitest|wrangler|vite|@biomejs)\//)).toEqual(
      [],
    );
    expect(setuid).toEqual([]);
  });

  it('is no larger than its packages require', async () => {
    const { Size } = await engine.docker.getImage(`warmwind/${service}:latest`).inspect();
    expect(Size / 1e6).toBeLessThan(BUDGET[service]);
  });
});

it('a worker finds the programs that bound its forks where it looks for them', async () => {
  const container = await engine.docker.createContainer({
    Image: 'warmwind/worker:latest',
    Entrypoint: [
      '/usr/bin/setpriv',
      '--pdeathsig',
      'KILL',
      '/usr/bin/prlimit',
      '--data=1000000000',
      '/usr/bin/true',
    ],
    HostConfig: { NetworkMode: 'none', ReadonlyRootfs: true, CapDrop: ['ALL'] },
  });
  started.push(container);
  await container.start();
  expect((await container.wait()).StatusCode, await logsOf(container)).toBe(0);
});

/**
 * Lists the files of an image, each path after its set-uid bits, by its own Node: the image has no other
 * program.
 */
const LIST = `
const { lstatSync, readdirSync } = require('node:fs');
const own = readdirSync('/').filter((name) => !['proc', 'sys', 'dev'].includes(name)).map((name) => '/' + name);
const files = own.flatMap((path) =>
  lstatSync(path).isDirectory() ? readdirSync(path, { recursive: true }).map((name) => path + '/' + name) : [path]);
process.stdout.write(files.map((path) => (lstatSync(path).mode & 0o6000) + ' ' + path).join('\\n'));`;

async function insideOf(service: Service): Promise<{ files: string[]; setuid: string[] }> {
  const container = await engine.docker.createContainer({
    Image: `warmwind/${service}:latest`,
    Entrypoint: ['node', '-e', LIST],
    Cmd: [],
    User: '0:0',
    Tty: true,
    HostConfig: { NetworkMode: 'none' },
  });
  started.push(container);
  await container.start();
  await container.wait();
  const lines = (await container.logs({ stdout: true })).toString().split(/\r?\n/);
  return {
    files: lines.map((line) => line.replace(/^\d+ /, '')),
    setuid: lines.filter((line) => !line.startsWith('0 ')),
  };
}
