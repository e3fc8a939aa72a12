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

/** How exactly the event loop's lag is measured, ms: the process is woken as often, also one at rest. */
const LAG_PRECISION_MS = 100;

/** Is this process alive: its event loop turns, its heap is bounded. */
export function liveChecks(): Record<string, Check> {
  const delay = monitorEventLoopDelay({ resolution: LAG_PRECISION_MS });
  delay.enable();
  return {
    eventLoop: async () => {
      // A sample is the time between two looks.
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

/** Does this Redis answer. */
export function redisCheck(redis: Redis): Check {
  return async () => {
    if (redis.status !== 'ready') throw new Error('Redis is away: see that it runs and can be reached');
    await redis.ping();
    return {};
  };
}

/** Is there room on the disk that holds `path`. */
export function diskCheck(path: string): Check {
  return async () => {
    const { blocks, bavail } = await statfs(path);
    const used = Number((1 - bavail / blocks).toFixed(3));
    if (used >= DISK_LIMIT) throw new Error(`disk ${Math.round(used * 100)} % full`);
    return { used, limit: DISK_LIMIT };
  };
}

export type Probes = { live: Record<string, Check>; ready: Record<string, Check>; registry: Registry };

/** `/health/live`, `/health/ready` and `/metrics`; ready answers `shutting_down` from the moment `draining` says so. */
export function probeRoutes(probes: Probes, draining: () => boolean): Hono {
  collectDefaultMetrics({ register: probes.registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
  const app = new Hono();
  const answer = (checks: Record<string, Check>, drains: boolean) => {
    const ask = askedOnce(checks);
    return async () => respond(await ask(), drains);
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

/** Runs the checks once for all who ask meanwhile: a flood of probes is no load that makes a probe fail. */
function askedOnce(checks: Record<string, Check>): () => Promise<Health> {
  let asking: Promise<Health> | undefined;
  return () => {
    asking ??= checkHealth(checks).finally(() => {
      asking = undefined;
    });
    return asking;
  };
}

/** A request's head must have come within the first, its body within the second, ms. */
const HEAD_WITHIN_MS = 10_000;
const REQUEST_WITHIN_MS = 30_000;

/** Listens; resolves with the server and the port it got. */
export function listen<E extends Env>(
  app: Hono<E>,
  host: string,
  port: number,
): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, (info) =>
      resolve({ server: server as Server, port: info.port }),
    );
    Object.assign(server, { headersTimeout: HEAD_WITHIN_MS, requestTimeout: REQUEST_WITHIN_MS });
    server.on('error', reject);
  });
}
