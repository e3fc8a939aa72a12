import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { HonoAdapter } from '@bull-board/hono';
import { serveStatic } from '@hono/node-server/serve-static';
import { keys } from '@warmwind/shared/engine/keys';
import { Queue } from 'bullmq';
import { Hono } from 'hono';
import { basicAuth } from 'hono/basic-auth';
import type { Redis } from 'ioredis';

const USER = 'admin';
const READS = ['GET', 'HEAD'];
/** Shown instead of a job's result, which belongs to its owner and is in the job's record. */
const WITHHELD = 'see the job record';

/**
 * Allows no other origin, even if a later version of the board asks for one. The board writes inline styles.
 */
const POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
/** Links to fonts on a public host, which would learn the addresses of operators. */
const FOREIGN_LINK = /<link\b[^>]*\bhref="(?:https?:)?\/\/[^>]*>/g;

export type Board = ReturnType<typeof createBoard>;

/** Creates the board if a password is set. */
export const openBoard = (names: string[], redis: Redis, password: string | undefined): Board | undefined =>
  password === undefined ? undefined : createBoard(names, redis, password);

/**
 * Creates a read-only Bull Board behind a password. A change to a job that bypasses its record would be
 * undone by the reconciler, or would never reach the job's listeners.
 * @param redis a fail-fast connection: a page fails instead of waiting
 */
export function createBoard(names: string[], redis: Redis, password: string) {
  const queues = names.map(
    (name) => new Queue(name, { connection: redis, prefix: keys.bullmqPrefix(name), skipMetasUpdate: true }),
  );
  const adapters = queues.map((queue) => {
    queue.on('error', () => undefined);
    const adapter = new BullMQAdapter(queue, { readOnlyMode: true });
    adapter.setFormatter('returnValue', () => WITHHELD);
    return adapter;
  });
  const server = new HonoAdapter(serveStatic);
  createBullBoard({ queues: adapters, serverAdapter: server });

  const app = new Hono();
  app.use(basicAuth({ username: USER, password, realm: 'Warmwind queues' }));
  app.use(async (c, next) => {
    if (!READS.includes(c.req.method)) return c.text('This board is read-only.', 405);
    c.header('Cache-Control', 'no-store');
    c.header('X-Frame-Options', 'DENY');
    c.header('Content-Security-Policy', POLICY);
    await next();
    if (c.res.headers.get('Content-Type')?.startsWith('text/html')) {
      const page = (await c.res.text()).replaceAll(FOREIGN_LINK, '');
      c.res = new Response(page, c.res);
    }
  });
  app.route('/', server.registerPlugin());
  return { app, close: () => Promise.all(queues.map((queue) => queue.close())) };
}
