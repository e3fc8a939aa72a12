import { ApiError } from '@warmwind/shared/errors';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../env.ts';

/** The largest body of a request, bytes; and of one that carries an image. */
const MAX_BYTES = 256 * 1024;
export const MAX_IMAGE_BODY_BYTES = 1.5 * 2 ** 20;

/** How much of a refused body is still taken, and for how long: bytes and ms. */
const DRAIN_BYTES = 16 * 2 ** 20;
const DRAIN_MS = 5000;

/**
 * Takes what an answer left unread of its request, within bounds: a connection that is closed with bytes on their way
 * is reset, and the answer is lost with it.
 */
export const drainBody = createMiddleware<AppEnv>(async (c, next) => {
  const { body } = c.req.raw;
  await next();
  if (body && !body.locked) await drain(body);
});

async function drain(body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  let timer: number | NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, DRAIN_MS);
  });
  try {
    for (let bytes = 0; bytes < DRAIN_BYTES; ) {
      const chunk = await Promise.race([reader.read(), late]);
      if (!chunk || chunk.done) return;
      bytes += chunk.value.byteLength;
    }
  } catch {
    // The client is gone.
  } finally {
    clearTimeout(timer);
  }
}

/** Bounds the JSON body of a POST. An empty one is `{}`; one that is too large is refused before it is read to its end. */
const jsonBodyUpTo = (maxBytes: number) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const { raw } = c.req;
    const length = Number(raw.headers.get('Content-Length') ?? 0);
    if (length > maxBytes) throw tooLarge(maxBytes);
    const typed = isJson(raw.headers.get('Content-Type'));
    // With a length the runtime sees to it that the body has no more; without one it has to be counted.
    if (length === 0 || !typed) {
      const text = raw.body ? await readText(raw.body, maxBytes) : '';
      if (text !== '' && !typed) throw unsupported();
      c.req.raw = withBody(raw, text === '' ? '{}' : text);
    }
    await next();
  });

export const jsonBody = jsonBodyUpTo(MAX_BYTES);
export const imageBody = jsonBodyUpTo(MAX_IMAGE_BODY_BYTES);

function withBody(request: Request, body: string): Request {
  const headers = new Headers(request.headers);
  headers.set('Content-Type', 'application/json');
  headers.delete('Content-Length');
  return new Request(request.url, { method: request.method, headers, body, signal: request.signal });
}

async function readText(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.byteLength;
    if (bytes > maxBytes) {
      reader.releaseLock();
      throw tooLarge(maxBytes);
    }
    text += decoder.decode(value, { stream: true });
  }
}

const isJson = (type: string | null): boolean =>
  type?.split(';')[0]?.trim().toLowerCase() === 'application/json';
export const tooLarge = (maxBytes: number) =>
  new ApiError('payload_too_large', `The body is larger than ${maxBytes / 1024} KB: send less.`);
const unsupported = () =>
  new ApiError('unsupported_media_type', 'Send the body as JSON with Content-Type: application/json.');
