import { API_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { decodeJwt } from 'jose';

/** What an operator does about a failure, each in one line. */
const TOKEN_FROM =
  'take tokens.user of .warmwind/stack.json, or sign one with the AUTH_SECRET of this edge: sub, exp and aud "warmwind"';
const BY_CODE: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there. Is it started, and is the port right?',
  ENOTFOUND: 'this name has no address. Is it spelt right, and its DNS record made?',
  EAI_AGAIN: 'this name can’t be looked up now. Does DNS work here?',
  ECONNRESET: 'the connection was cut. Is this https, where http is spoken, or the other way round?',
  RequestTimeoutError: 'no answer in time. Does a firewall or a proxy stand in between?',
};
const UNTRUSTED = /CERT|SELF_SIGNED|ISSUER/;

/** Why nobody answered at `url`: the cause of a `NetworkError`, or that itself. */
export function unreachable(url: string, error: unknown): string {
  const { cause, name } = error as { cause?: { code?: string }; name?: string };
  const code = cause?.code ?? name ?? '';
  const advice = UNTRUSTED.test(code)
    ? 'its certificate is not trusted here. Name your authority’s file: NODE_EXTRA_CA_CERTS=ca.crt'
    : (BY_CODE[code] ?? 'no connection. Does the address answer to curl?');
  return `${url}: ${advice} (${code})`;
}

/** What can be seen of a token without its secret; `undefined` when it may be a good one. */
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

/** Which parts a readiness probe says are away. */
export function notReady(body: unknown): string {
  const { error } = body as { error?: Record<string, { message?: string }> };
  const parts = Object.entries(error ?? {}).map(([part, { message }]) =>
    message ? `${part} (${message})` : part,
  );
  return `not ready, away: ${parts.join(', ') || 'it does not say what'}. Start it, or see the edge’s log`;
}

/** Why a job did not come to its end in time, by the events that were seen of it. */
export function stuck(types: string[]): string {
  if (types.length === 0) return 'no event came. Do the relay and the workers have the same realtime Redis?';
  if (!types.some((type) => ['job.active', 'container.starting'].includes(type))) {
    return 'no worker took it. Is one running, on this queue Redis? Its /health/ready says what is away';
  }
  return 'a worker has it and does not finish. See the workers’ log';
}

const BY_FAILURE: Record<string, string> = {
  image_missing:
    'no worker’s Docker Engine has the image of DESKTOP_IMAGES. Make it there: `npm run image`, or pull and tag it',
  engine_unavailable:
    'a worker does not reach its Docker Engine. Is its socket mounted, and its group given?',
  invalid_spec: 'the engine of a worker refuses the container. See the workers’ log',
};

/** Why a job failed: its error's code and words, and what to do. */
export function failed({ error }: { error?: { code?: string; message?: string } }): string {
  const { code = 'without a code', message = '' } = error ?? {};
  return `${code}: ${BY_FAILURE[code] ?? `${message} See the workers’ log`}`;
}
