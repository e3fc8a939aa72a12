import { ApiError } from '@warmwind/shared/contract/errors';
import { withTimeout } from '@warmwind/shared/runtime/timeout';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../env.ts';
import { HeldBody } from './body-budget.ts';
import { badRequest } from './errors.ts';
import { checkJson } from './media-type.ts';
import { malformedTexts } from './text.ts';

/** The largest body of a request, bytes; and the largest with an image. */
const MAX_BYTES = 256 * 1024;
export const MAX_IMAGE_BODY_BYTES = 1.5 * 2 ** 20;

/** How much of a refused body is still read, and for how long: bytes and ms. */
const DRAIN_BYTES = 16 * 2 ** 20;
const DRAIN_MS = 5000;
/** How many refused bodies are read at once; the connections of others are closed. */
const MOST_DRAINS = 16;
let drains = 0;

/**
 * Reads the rest of a request's body after the answer, within bounds. A connection that is closed with bytes
 * in transit is reset, and the client loses the answer.
 */
export const drainBody = createMiddleware<AppEnv>(async (c, next) => {
  const { body } = c.req.raw;
  await next();
  if (body && !body.locked) await drain(body);
});

async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  if (drains >= MOST_DRAINS) {
    body.cancel().catch(() => undefined);
    return;
  }
  drains += 1;
  const reader = body.getReader();
  let timedOut = false;
  const discard = async () => {
    for (let bytes = 0; bytes < DRAIN_BYTES && !timedOut; ) {
      const { done, value } = await reader.read();
      if (done) return;
      bytes += value.byteLength;
    }
  };
  // A client that has disconnected reads no answer.
  await withTimeout(discard(), DRAIN_MS, () => {
    timedOut = true;
  })
    .catch(() => undefined)
    .finally(() => {
      drains -= 1;
    });
}

/** A body must be complete within the first of these, and is charged before the wait after the second, ms. */
const COMPLETE_WITHIN_MS = 20_000;
const SOON_MS = 250;

/**
 * Reads the JSON body of a POST, bounded in bytes and time, as UTF-8. An empty body is `{}`. A body that is
 * refused is refused before it is read to its end, and a slow one is charged first.
 */
const jsonBodyUpTo = (maxBytes: number) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const { raw } = c.req;
    const length = Number(raw.headers.get('Content-Length') ?? 0);
    if (length > maxBytes) throw tooLarge(maxBytes);
    const held = new HeldBody(c.get('user').id);
    try {
      held.grow(length);
      const bytes = raw.body ? await read(raw.body, maxBytes, held, c.get('chargeNow')) : new Uint8Array();
      if (bytes.byteLength > 0) checkJson(raw.headers);
      const value = bytes.byteLength > 0 ? parse(bytes) : {};
      c.req.raw = asJson(raw);
      c.req.bodyCache.json = Promise.resolve(value);
      await next();
    } finally {
      held.release();
    }
  });

export const jsonBody = jsonBodyUpTo(MAX_BYTES);
export const imageBody = jsonBodyUpTo(MAX_IMAGE_BODY_BYTES);

/** @param chargeNow charges the request, unless it has been charged; rejects when the request is refused */
async function read(
  body: ReadableStream<Uint8Array>,
  maxBytes: number,
  held: HeldBody,
  chargeNow: (() => Promise<void>) | undefined,
): Promise<Uint8Array> {
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const { promise: refused, reject } = Promise.withResolvers<never>();
  let charging: Promise<void> | undefined;
  const soon = setTimeout(() => {
    charging = chargeNow?.();
    charging?.catch(reject);
  }, SOON_MS);
  const timer = setTimeout(() => reject(tooSlow()), COMPLETE_WITHIN_MS);
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), refused]);
      if (done) {
        await charging;
        return joined(chunks, bytes);
      }
      bytes += value.byteLength;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      held.grow(bytes);
      chunks.push(value);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw new AbortedBodyError();
    if (error.code === 'payload_too_large') reader.releaseLock();
    else reader.cancel().catch(() => undefined);
    throw error;
  } finally {
    clearTimeout(soon);
    clearTimeout(timer);
  }
}

function joined(chunks: Uint8Array[], bytes: number): Uint8Array {
  const [only] = chunks;
  if (chunks.length === 1 && only) return only;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parse(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw badRequest([{ path: '', message: 'the body is not UTF-8' }]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw badRequest([{ path: '', message: 'the body is not valid JSON' }]);
  }
  const malformed = malformedTexts(text, value);
  if (malformed.length > 0) throw badRequest(malformed);
  return value;
}

/** The request with the plain media type that the validators accept. */
function asJson(request: Request): Request {
  if (request.headers.get('Content-Type') === 'application/json') return request;
  const headers = new Headers(request.headers);
  headers.set('Content-Type', 'application/json');
  headers.delete('Content-Length');
  return new Request(request.url, { method: request.method, headers, signal: request.signal });
}

/** The client closed its connection before its body was complete. */
export class AbortedBodyError extends Error {
  override name = 'AbortedBodyError';
}

export const tooLarge = (maxBytes: number) =>
  new ApiError('payload_too_large', `The body is larger than ${maxBytes / 1024} KB: send less.`);
const tooSlow = () =>
  new ApiError(
    'request_timeout',
    `The body was not complete within ${COMPLETE_WITHIN_MS / 1000} seconds: send it again.`,
  );
