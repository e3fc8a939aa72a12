import { API_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { decodeJwt } from 'jose';

/** Remedies for an operator, each in one line. */
const TOKEN_FROM =
  'use tokens.user of .warmwind/stack.json, or sign one with the AUTH_SECRET of this edge: sub, exp and aud "warmwind"';
const BY_CODE: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there. Check that it is started, and its port',
  ENOTFOUND: 'this name has no address. Check its spelling and its DNS record',
  EAI_AGAIN: 'this name can’t be looked up now. Check DNS on this machine',
  ECONNRESET: 'the connection was closed. Check whether the address needs http or https',
  RequestTimeoutError: 'no answer in time. Check firewalls and proxies on the path',
};
const UNTRUSTED = /CERT|SELF_SIGNED|ISSUER/;

/** Explains a missing answer of `url` by the cause of a `NetworkError`. */
export function unreachable(url: string, error: unknown): string {
  const { cause, name } = error as { cause?: { code?: string }; name?: string };
  const code = cause?.code ?? name ?? '';
  const advice = UNTRUSTED.test(code)
    ? 'its certificate is not trusted here. Name your authority’s file: NODE_EXTRA_CA_CERTS=ca.crt'
    : (BY_CODE[code] ?? 'no connection. Try the address with curl');
  return `${url}: ${advice} (${code})`;
}

/** Checks a token without its secret; `undefined` when it may be valid. */
export function tokenProblem(token: string): string | undefined {
  const claims = attempt(() => decodeJwt(token));
  if (!claims) return `the token is no JWT: ${TOKEN_FROM}`;
  const { aud, exp = 0, sub } = claims;
  if (![aud].flat().includes(API_AUDIENCE))
    return `the token is for "${aud}" and not for the API: ${TOKEN_FROM}`;
  if (!sub) return `the token names no user (sub): ${TOKEN_FROM}`;
  if (exp * 1000 > Date.now()) return undefined;
  return `the token expired at ${new Date(exp * 1000).toISOString()}: ${TOKEN_FROM}`;
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

export const tokenRefused = `the edge does not know this token’s signature: ${TOKEN_FROM}`;

/** Names the parts that a readiness probe reports as away. */
export function notReady(body: unknown): string {
  const { error } = body as { error?: Record<string, { message?: string }> };
  const parts = Object.entries(error ?? {}).map(([part, { message }]) =>
    message ? `${part} (${message})` : part,
  );
  return `not ready, away: ${parts.join(', ') || 'not named'}. Start it, or see the edge’s log`;
}

/** Explains why a job did not end in time, by the events that it has emitted. */
export function stuck(types: string[]): string {
  if (types.length === 0) return 'no event arrived. Check that relay and workers use the same realtime Redis';
  if (!types.some((type) => ['job.active', 'container.starting'].includes(type))) {
    return 'no worker took it. Check that one runs on this queue Redis; its /health/ready names what is away';
  }
  return 'a worker runs it and does not finish. See the workers’ log';
}

const BY_FAILURE: Record<string, string> = {
  image_missing:
    'no worker’s Docker Engine has the image of DESKTOP_IMAGES. Build it there: `npm run image`, or pull and tag it',
  engine_unavailable:
    'a worker does not reach its Docker Engine. Check that its socket is mounted and its group is set',
  invalid_spec: 'the engine of a worker refuses the container. See the workers’ log',
};

/** Explains why a job failed: its error's code and message, and the remedy. */
export function failed({ error }: { error?: { code?: string; message?: string } }): string {
  const { code = 'without a code', message = '' } = error ?? {};
  return `${code}: ${BY_FAILURE[code] ?? `${message} See the workers’ log`}`;
}
