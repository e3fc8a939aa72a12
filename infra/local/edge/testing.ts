import { mkdir, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@warmwind/shared/contract/ids';
import { API_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { type JWTPayload, SignJWT } from 'jose';
import { buildEdge, type EdgeBundle, readBundle } from '../../../edge/build.ts';
import { startPooler, type TestPooler } from '../../quality/testing/pooler.ts';
import { startPostgres, type TestPostgres } from '../../quality/testing/postgres.ts';
import { startGateway, type TestGateway, TOKEN } from '../gateway/testing.ts';
import { startCounter } from './counter.ts';
import { startMiniflare } from './miniflare.ts';
import type { RunningEdge } from './serve.ts';

export const AUTH_SECRET = 'a-secret-for-tests-only-0123456789abcdef';
export const WEBHOOK_SECRET = 'signs-webhooks-of-tests-0123456789';

/** Lenient: tests of time set their own bounds. */
const LENIENT = { LIMITER_TIMEOUT_MS: '5000', SUBMIT_TIMEOUT_MS: '5000' };

type Answer = { status: number; headers: Headers; body: Record<string, unknown> };

export type TestEdge = {
  url: string;
  gateway: TestGateway;
  /**
   * The edge's ledger.
   * @throws Error when the edge was started without one
   */
  readonly postgres: TestPostgres;
  /**
   * The pooler between the edge and its ledger.
   * @throws Error when the edge was started without one
   */
  readonly pooler: TestPooler;
  /** The Worker's log. */
  lines: string[];
  /** REST trips since the last call. */
  trips: () => number;
  /** A request with `user`'s token (none when undefined); objects are sent as JSON. */
  call: (user: string | undefined, method: string, path: string, init?: CallInit) => Promise<Answer>;
  /** The same with the signature of `fetch`. */
  raw: (
    user: string | undefined,
    path: string,
    init?: RequestInit & { duplex?: 'half' },
  ) => Promise<Response>;
  stop: () => Promise<void>;
};
export type CallInit = { body?: unknown; headers?: Record<string, string> };

/** A token of the API, valid by default. */
export const signToken = (claims: JWTPayload = {}, secret = AUTH_SECRET, alg = 'HS256'): Promise<string> =>
  new SignJWT({ sub: 'ada', aud: API_AUDIENCE, exp: Math.floor(Date.now() / 1000) + 7200, ...claims })
    .setProtectedHeader({ alg })
    .sign(new TextEncoder().encode(secret));

export type TestEdgeOptions = {
  /** Default true; false is `LEDGER=off`. */
  ledger?: boolean;
  /** A replica for reads. */
  readUrl?: string;
  /** Default true; false connects the edge to PostgreSQL itself. */
  pooled?: boolean;
};

/** The bundled edge in Miniflare, on a gateway, a Redis, a PostgreSQL and a pooler of its own. */
export async function startTestEdge(
  bindings: Record<string, string> = {},
  { ledger = true, readUrl, pooled = true }: TestEdgeOptions = {},
): Promise<TestEdge> {
  const bundle = await bundleOnce();
  const [gateway, postgres] = await Promise.all([
    startGateway(),
    ledger ? startPostgres({ migrated: true }) : undefined,
  ]);
  const pooler = postgres && pooled ? await startPooler(postgres.url, { readUrl }) : undefined;
  const ledgerUrl = pooler?.url ?? postgres?.url;
  const replicaUrl = pooler?.readUrl ?? readUrl;
  const counter = await startCounter(gateway.url);
  const lines: string[] = [];
  const edge: RunningEdge = await startMiniflare({
    bundle,
    bindings: {
      UPSTASH_REDIS_REST_URL: counter.url,
      UPSTASH_REDIS_REST_TOKEN: TOKEN,
      AUTH_SECRET,
      WEBHOOK_SECRET,
      RELAY_URL: 'http://relay.test/',
      LEDGER: postgres ? 'on' : 'off',
      ...LENIENT,
      ...bindings,
    },
    hyperdrives: {
      ...(ledgerUrl ? { LEDGER_DB: ledgerUrl } : {}),
      ...(replicaUrl ? { LEDGER_READ_DB: replicaUrl } : {}),
    },
    onLine: (line) => lines.push(line),
  });
  const raw: TestEdge['raw'] = async (user, path, init = {}) => {
    const headers = new Headers(init.headers);
    if (user !== undefined) headers.set('Authorization', `Bearer ${await signToken({ sub: user })}`);
    return fetch(edge.url + path, { ...init, headers });
  };
  return {
    url: edge.url,
    gateway,
    get postgres() {
      if (!postgres) throw new Error('this edge has no ledger');
      return postgres;
    },
    get pooler() {
      if (!pooler) throw new Error('this edge has no pooler');
      return pooler;
    },
    lines,
    trips: counter.take,
    raw,
    call: async (user, method, path, { body, headers } = {}) => {
      const content = typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body);
      const type: Record<string, string> =
        content === undefined ? {} : { 'Content-Type': 'application/json' };
      const response = await raw(user, path, {
        method,
        headers: { ...type, ...headers },
        ...(content === undefined ? {} : { body: content }),
      });
      const text = await response.text();
      const isJson = response.headers.get('Content-Type')?.startsWith('application/json');
      return {
        status: response.status,
        headers: response.headers,
        body: isJson ? JSON.parse(text) : { text },
      };
    },
    stop: async () => {
      await edge.stop();
      await counter.stop();
      await gateway.stop();
      await pooler?.stop();
      await postgres?.stop();
    },
  };
}

/** One bundle for all test files of a run: the first finished one serves the others. */
export async function bundleOnce(): Promise<EdgeBundle> {
  const root = process.env.WARMWIND_TEST_DIR ?? join(tmpdir(), `warmwind-edge-${process.pid}`);
  const shared = join(root, 'edge');
  const known = await readBundle(shared).catch(() => undefined);
  if (known) return known;
  await mkdir(root, { recursive: true });
  const own = join(root, `edge-${newId()}`);
  await buildEdge(own);
  await rename(own, shared).catch(() => undefined);
  return readBundle(shared);
}
