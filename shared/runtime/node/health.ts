import { statfs } from 'node:fs/promises';
import type { Server } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { serve } from '@hono/node-server';
import { type Env, Hono } from 'hono';
import type { Redis } from 'ioredis';
import { collectDefaultMetrics, type Registry } from 'prom-client';
import { NodeSettings } from '../../engine/node/settings.ts';
import { readEnv } from '../env.ts';
import { type Check, checkHealth, type Health } from '../health.ts';

const { HEALTH_HEAP_MB: HEAP_LIMIT_MB } = readEnv(NodeSettings.pick({ HEALTH_HEAP_MB: true }), process.env);
const DISK_LIMIT = 0.9;
const EVENT_LOOP_LIMIT_MS = 1000;

/** The precision of the event loop's lag, ms: also an idle process is woken this often. */
const LAG_PRECISION_MS = 100;

/** The checks of liveness: the event loop's lag, and the heap. */
export function liveChecks(): Record<string, Check> {
  const delay = monitorEventLoopDelay({ resolution: LAG_PRECISION_MS });
  delay.enable();
  return {
    eventLoop: async () => {
      // A sample is the time between two measurements.
      const p99Ms = Math.max(0, Math.round(delay.percentile(99) / 1e6) - LAG_PRECISION_MS);
      delay.reset();
      if (p99Ms > EVENT_LOOP_LIMIT_MS) throw new Error(`event loop delayed by ${p99Ms} ms`);
      return { p99Ms };
    },
    heap: async () => {
      const usedMb = Math.round(process.memoryUsage().heapUsed / 2 ** 20);
      if (usedMb > HEAP_LIMIT_MB) throw new Error(`heap ${usedMb} MB, more than ${HEAP_LIMIT_MB} MB`);
      return { usedMb, limitMb: HEAP_LIMIT_MB };
    },
  };
}

/** Checks that this Redis answers. */
export function redisCheck(redis: Redis): Check {
  return async () => {
    if (redis.status !== 'ready')
      throw new Error('Redis is unavailable: check that it runs and can be reached');
    await redis.ping();
    return {};
  };
}

/** Checks that the disk that holds `path` is not full. */
export function diskCheck(path: string): Check {
  return async () => {
    const { blocks, bavail } = await statfs(path);
    const used = Number((1 - bavail / blocks).toFixed(3));
    if (used >= DISK_LIMIT) throw new Error(`disk ${Math.round(used * 100)} % full`);
    return { used, limit: DISK_LIMIT };
  };
}

export type Probes = { live: Record<string, Check>; ready: Record<string, Check>; registry: Registry };

/** `/health/live`, `/health/ready` and `/metrics`; ready answers `shutting_down` while `draining` is true. */
export function probeRoutes(probes: Probes, draining: () => boolean): Hono {
  collectDefaultMetrics({ register: probes.registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
  const app = new Hono();
  const answer = (checks: Record<string, Check>, drains: boolean) => {
    const run = shareRuns(checks);
    return async () => respond(await run(), drains);
  };
  const respond = (checked: Health, drains: boolean): Response => {
    const health: Health = drains && draining() ? { ...checked, status: 'shutting_down' } : checked;
    const headers = new Headers({ 'Cache-Control': 'no-store' });
    // A prober that keeps its connection would keep the server from closing.
    if (draining()) headers.set('Connection', 'close');
    return Response.json(health, { status: health.status === 'ok' ? 200 : 503, headers });
  };
  app.get('/health/live', answer(probes.live, false));
  app.get('/health/ready', answer(probes.ready, true));
  app.get('/metrics', async (c) =>
    c.body(await probes.registry.metrics(), 200, { 'Content-Type': probes.registry.contentType }),
  );
  return app;
}

/** Runs the checks once for all concurrent probes, so that a flood of probes can't make a probe fail. */
function shareRuns(checks: Record<string, Check>): () => Promise<Health> {
  let running: Promise<Health> | undefined;
  return () => {
    running ??= checkHealth(checks).finally(() => {
      running = undefined;
    });
    return running;
  };
}

/** How long a request's head may take, and the complete request, ms. */
const HEAD_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;

/**
 * Serves an app.
 * @returns the server and its port
 */
export function listen<E extends Env>(
  app: Hono<E>,
  host: string,
  port: number,
): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, (info) =>
      resolve({ server: server as Server, port: info.port }),
    );
    Object.assign(server, { headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS });
    server.on('error', reject);
  });
}
