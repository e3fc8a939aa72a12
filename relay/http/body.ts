import { ApiError } from '@warmwind/shared/contract/errors';
import { withTimeout } from '@warmwind/shared/runtime/timeout';

/** How much of a refused body is still read, bytes: closing a connection with unread bytes resets it. */
const DRAIN_BYTES = 4 * 2 ** 20;
/** How long a body may take, ms. */
const BODY_MS = 10_000;

/**
 * Reads the JSON body of a request.
 * @throws ApiError `bad_request`, `payload_too_large` or `request_timeout`
 */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const onTimeout = (): never => {
    throw new ApiError('request_timeout', 'The body was not complete in time: send it again.');
  };
  const text = await withTimeout(readText(request, maxBytes), BODY_MS, onTimeout);
  if (text === undefined) {
    throw new ApiError('payload_too_large', `The body is larger than ${maxBytes / 1024} KB: send less.`);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError('bad_request', 'Send JSON.', { issues: [{ path: '', message: 'not valid JSON' }] });
  }
}

/** @returns `undefined` when the body is too large */
async function readText(request: Request, maxBytes: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > DRAIN_BYTES) break;
    if (bytes <= maxBytes) chunks.push(chunk);
  }
  return bytes > maxBytes ? undefined : Buffer.concat(chunks).toString();
}
