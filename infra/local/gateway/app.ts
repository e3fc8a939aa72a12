import type { ServerResponse } from 'node:http';
import { liveChecks, probeRoutes } from '@warmwind/shared/runtime/node/health';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import { type Context, Hono } from 'hono';
import type { Redis } from 'ioredis';
import type { Registry } from 'prom-client';
import { tokenCheck } from './auth.ts';
import { type Command, parseCommand } from './command.ts';
import type { Limits } from './config.ts';
import { executeOne, executePipeline, executeTransaction } from './execute.ts';
import { GatewayError, type Outcome } from './failure.ts';
import { readForm, writeOne, writePipeline, writeTransaction } from './form.ts';
import { createMetrics } from './metrics.ts';
import { readRequest } from './request.ts';
import { Scripts } from './scripts.ts';
import type { EventStreams } from './streams.ts';
import { SyncTokens } from './sync-token.ts';

/** `redis` comes from `connectRedis`; `token` is the bearer token of callers. */
export type Gateway = {
  redis: Redis;
  token: string;
  limits: Limits;
  log: Logger;
  registry: Registry;
  streams: EventStreams;
  /**
   * Is the gateway shutting down? Connections are then closed after their answers, and `/health/ready` fails.
   */
  draining: () => boolean;
};

type GatewayEnv = { Bindings: { outgoing: ServerResponse } };
type GatewayContext = Context<GatewayEnv>;

/**
 * Upstash's REST protocol in front of one Redis connection. Every path but the two probes needs the token.
 */
export function buildApp(gateway: Gateway): Hono<GatewayEnv> {
  const { redis, limits, log, registry, streams, draining } = gateway;
  const authorized = tokenCheck(gateway.token);
  const observe = createMetrics(registry, () => streams.count);
  const scripts = new Scripts();
  const syncTokens = new SyncTokens();
  let running = 0;

  const translate = (input: unknown): Command => scripts.translate(parseCommand(input, limits));

  /** A stream, or the body of the answer. */
  async function answer({ req, env }: GatewayContext): Promise<Response | string | Buffer> {
    const request = req.raw;
    const form = readForm(request.headers);
    const asked = await readRequest(request, limits);
    if (asked.kind === 'stream') return streams.open(asked.listening, () => env.outgoing.destroy());
    if (asked.kind === 'command') {
      const command = translate(asked.command);
      return writeOne(form, command, await executeOne(redis, command));
    }
    if (asked.kind === 'transaction') {
      const commands = asked.commands.map(translate);
      return writeTransaction(form, await executeTransaction(redis, commands));
    }
    const commands = asked.commands.map((command) => attempt(() => translate(command)));
    return writePipeline(form, commands, await executePipeline(redis, commands));
  }

  async function serve(context: GatewayContext): Promise<Response> {
    const startedAt = performance.now();
    let outcome: Outcome = 'ok';
    let status = 200;
    let body: Response | string | Buffer;
    running += 1;
    try {
      if (!authorized(context.req.header('authorization')))
        throw new GatewayError('unauthenticated', UNAUTHENTICATED);
      if (running > limits.requests)
        throw new GatewayError('overloaded', 'ERR too many requests at once; retry later');
      body = await answer(context);
    } catch (error) {
      const failure =
        error instanceof GatewayError ? error : new GatewayError('internal', 'ERR internal error');
      if (failure !== error) log.error({ err: error }, 'request failed');
      ({ outcome, status } = failure);
      body = JSON.stringify({ error: failure.message });
    } finally {
      running -= 1;
    }
    observe(outcome, performance.now() - startedAt);
    if (body instanceof Response) return body;
    const headers = {
      'Content-Type': typeof body === 'string' ? 'application/json' : 'application/octet-stream',
      ...(outcome === 'unauthenticated' ? {} : { 'Upstash-Sync-Token': syncTokens.next() }),
      ...(draining() ? { Connection: 'close' } : {}),
    };
    return new Response(body as BodyInit, { status, headers });
  }

  const ready = {
    redis: async () => {
      if (redis.status !== 'ready') throw new Error('redis is away');
      await redis.ping();
      return {};
    },
  };
  const app = new Hono<GatewayEnv>();
  app.use('/metrics', async (context, next) =>
    authorized(context.req.header('authorization')) ? next() : serve(context),
  );
  app.route('/', probeRoutes({ live: liveChecks(), ready, registry }, draining));
  app.all('*', serve);
  return app;
}

const UNAUTHENTICATED = 'Unauthorized: send Authorization: Bearer <token>';

/** In a pipeline the error of a refused command takes the place of its answer, and the others run. */
function attempt<T>(make: () => T): T | GatewayError {
  try {
    return make();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
}
