import type { Limits } from './config.ts';
import { GatewayError } from './failure.ts';
import { parseExact } from './json.ts';
import type { Listening } from './streams.ts';

/** A parsed request, unchecked: one command, many to `/pipeline` or `/multi-exec`, or a stream of events. */
export type Asked =
  | { kind: 'command'; command: unknown }
  | { kind: 'pipeline' | 'transaction'; commands: unknown[] }
  | { kind: 'stream'; listening: Listening };

const METHODS = ['GET', 'HEAD', 'POST', 'PUT'];

/**
 * Reads a request in any of Upstash's forms.
 * @throws GatewayError
 */
export async function readRequest(request: Request, limits: Limits): Promise<Asked> {
  const { method } = request;
  if (!METHODS.includes(method)) throw new GatewayError('refused', `ERR use ${METHODS.join(', ')}`, 405);
  const hasBody = method === 'POST' || method === 'PUT';
  const [path, query] = splitTarget(request.url);

  const endpoint = path.replaceAll(/^\/+|\/+$/g, '');
  if (endpoint === 'pipeline') return { kind: 'pipeline', commands: await readBatch(request, limits) };
  if (endpoint === 'multi-exec') return { kind: 'transaction', commands: await readBatch(request, limits) };
  if (endpoint === '') return { kind: 'command', command: hasBody ? await readJson(request, limits) : [] };
  if (method !== 'HEAD' && acceptsEvents(request)) {
    const listening = readListening(decodePath(`/${endpoint}`));
    if (listening) return { kind: 'stream', listening };
  }

  const body = hasBody ? await readBody(request, limits.bodyBytes) : undefined;
  const value = body && body.length > 0 ? [body] : [];
  return { kind: 'command', command: [...decodePath(path), ...value, ...decodeQuery(query)] };
}

async function readBatch(request: Request, limits: Limits): Promise<unknown[]> {
  const commands = await readJson(request, limits);
  if (!Array.isArray(commands) || commands.length === 0) {
    throw new GatewayError('refused', 'ERR a JSON array of commands is expected, such as [["GET", "key"]]');
  }
  if (commands.length > limits.commands) {
    const message = `ERR ${commands.length} commands; at most ${limits.commands} are accepted in one request`;
    throw new GatewayError('refused', message);
  }
  return commands;
}

async function readJson(request: Request, limits: Limits): Promise<unknown> {
  const text = await readText(request, limits.bodyBytes);
  try {
    return parseExact(text);
  } catch {
    throw new GatewayError('refused', 'ERR the body is not JSON');
  }
}

/**
 * A declared length is enforced by Node's parser, and the complete body then arrives without a stream in
 * between.
 */
async function readText(request: Request, maxBytes: number): Promise<string> {
  if (declaredLength(request, maxBytes) !== undefined) return request.text();
  return (await readBody(request, maxBytes)).toString();
}

async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  if (declaredLength(request, maxBytes) !== undefined) return Buffer.from(await request.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function declaredLength(request: Request, maxBytes: number): number | undefined {
  const header = request.headers.get('content-length');
  if (header === null) return undefined;
  const length = Number(header);
  if (!(length <= maxBytes)) throw tooLarge(maxBytes);
  return length;
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('too_large', `ERR the body is larger than ${maxBytes} bytes`);
}

function splitTarget(url: string): [path: string, query: string] {
  const start = url.indexOf('/', url.indexOf('//') + 2);
  const target = start < 0 ? '/' : url.slice(start);
  const mark = target.indexOf('?');
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
}

function decodePath(path: string): string[] {
  try {
    return path.slice(1).split('/').map(decodeURIComponent);
  } catch {
    throw new GatewayError('refused', 'ERR the path is not percent-encoded UTF-8');
  }
}

const acceptsEvents = ({ headers }: Request): boolean =>
  /(^|[,\s])text\/event-stream($|[;,\s])/i.test(headers.get('accept') ?? '');

/** `/subscribe/channel/…`, `/psubscribe/pattern/…` or `/monitor`; a body is ignored. */
function readListening([first = '', ...names]: string[]): Listening | undefined {
  const kind = first.toLowerCase();
  return kind === 'subscribe' || kind === 'psubscribe' || kind === 'monitor' ? { kind, names } : undefined;
}

/** Arguments after the body's value: `?EX=100&NX` gives `EX 100 NX`. */
function decodeQuery(query: string): string[] {
  if (query === '') return [];
  const pairs = [...new URLSearchParams(query)];
  if (pairs.some(([name]) => name === '_token')) {
    throw new GatewayError('refused', 'ERR a token in the URL is not accepted; send Authorization: Bearer');
  }
  return pairs.flatMap(([name, value]) => (value === '' ? [name] : [name, value]));
}
