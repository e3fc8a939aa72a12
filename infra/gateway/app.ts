import { liveChecks, probeRoutes } from '@warmwind/shared/node/health';
import type { Logger } from '@warmwind/shared/node/log';
import { type Context, Hono } from 'hono';
import type { Redis } from 'ioredis';
import type { Registry } from 'prom-client';
import { tokenCheck } from './auth.ts';
import { type Command, parseCommand } from './command.ts';
import type { Limits } from './config.ts';
import { executeOne, executePipeline, executeTransaction, type Replied } from './execute.ts';
import { Failure, type Outcome } from './failure.ts';
import { createMetrics } from './metrics.ts';
import { type Answer, type Encoding, encodeReply } from './reply.ts';
import { readRequest } from './request.ts';
import { Scripts } from './scripts.ts';

/** `redis` comes from `connectRedis`; `token` is what callers must bear. */
export type Gateway = {
  redis: Redis;
  token: string;
  limits: Limits;
  log: Logger;
  registry: Registry;
  /** Is the gateway going down: connections are then closed after their answers, and ready says so. */
  draining: () => boolean;
};

/** Upstash's REST protocol in front of one Redis connection. Every path but the two probes wants the token. */
export function buildApp(gateway: Gateway): Hono {
  const { redis, limits, log, registry, draining } = gateway;
  const authorized = tokenCheck(gateway.token);
  const observe = createMetrics(registry);
  const scripts = new Scripts();
  let running = 0;

  const translate = (input: unknown): Command => scripts.translate(parseCommand(input, limits));

  async function answer(request: Request, encoding: Encoding): Promise<Answer | Answer[]> {
    const asked = await readRequest(request, limits);
    const encode = (replied: Replied): Answer =>
      'error' in replied ? replied : { result: encodeReply(replied.reply, encoding) };
    if (asked.kind === 'command') {
      return { result: encodeReply(await executeOne(redis, translate(asked.command)), encoding) };
    }
    if (asked.kind === 'transaction') {
      return (await executeTransaction(redis, asked.commands.map(translate))).map(encode);
    }
    const commands = asked.commands.map((command) => attempt(() => translate(command)));
    return (await executePipeline(redis, commands)).map(encode);
  }

  async function serve(context: Context): Promise<Response> {
    const startedAt = performance.now();
    let outcome: Outcome = 'ok';
    let status = 200;
    let body: Answer | Answer[];
    running += 1;
    try {
      if (!authorized(context.req.header('authorization')))
        throw new Failure('unauthenticated', UNAUTHENTICATED);
      if (running > limits.requests)
        throw new Failure('overloaded', 'ERR too many requests at once; retry later');
      const encoding = context.req.header('upstash-encoding') === 'base64' ? 'base64' : 'utf8';
      body = await answer(context.req.raw, encoding);
    } catch (error) {
      const failure = error instanceof Failure ? error : new Failure('internal', 'ERR internal error');
      if (failure !== error) log.error({ err: error }, 'request failed');
      ({ outcome, status } = failure);
      body = { error: failure.message };
    } finally {
      running -= 1;
    }
    observe(outcome, performance.now() - startedAt);
    return new Response(JSON.stringify(body), { status, headers: draining() ? LAST_HEADERS : HEADERS });
  }

  const ready = {
    redis: async () => {
      if (redis.status !== 'ready') throw new Error('redis is away');
      await redis.ping();
      return {};
    },
  };
  const app = new Hono();
  app.use('/metrics', async (context, next) =>
    authorized(context.req.header('authorization')) ? next() : serve(context),
  );
  app.route('/', probeRoutes({ live: liveChecks(), ready, registry }, draining));
  app.all('*', serve);
  return app;
}

const UNAUTHENTICATED = 'Unauthorized: send Authorization: Bearer <token>';
const HEADERS = { 'Content-Type': 'application/json' };
const LAST_HEADERS = { ...HEADERS, Connection: 'close' };

/** In a pipeline a command that can't be sent takes the place of its answer, and the others run. */
function attempt<T>(make: () => T): T | Failure {
  try {
    return make();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}
