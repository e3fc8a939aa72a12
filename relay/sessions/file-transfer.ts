import { SessionClosedError } from '@warmwind/shared/client/session';
import { ApiError, type ErrorCode } from '@warmwind/shared/contract/errors';
import { FileHead, MAX_FILE_BYTES, MAX_HEAD_BYTES } from '@warmwind/shared/contract/files';
import type { SessionCode } from '@warmwind/shared/contract/sessions/codes';
import { parseJson } from '@warmwind/shared/runtime/json';
import type { NodeSession } from './node-session.ts';

type SentHead = Exclude<FileHead, { code: ErrorCode }>;
type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** How much of a body is read in all: the rest of a refused one is discarded, so that its sender reads the answer. */
const READ_BYTES = 2 * MAX_FILE_BYTES;
const NEWLINE = 10;

/**
 * Sends a body to the session of a file, and reads the first line of the answer, which may come before the end of
 * the body.
 * @returns the first line, and the stream of the content after it
 * @throws ApiError the refusal of the container's host, or what ended the session
 */
export async function transferFile(
  session: NodeSession,
  body: ReadableStream<Uint8Array> | null,
): Promise<{ head: SentHead; content: ReadableStream<Uint8Array> }> {
  sendBody(session, body).catch(() => session.abort('The body broke off.'));
  const reader = session.readable.getReader();
  try {
    const { head, rest } = await readHead(reader);
    if ('code' in head) throw new ApiError(head.code, head.message);
    return { head, content: contentOf(session, reader, rest) };
  } catch (error) {
    session.abort();
    throw error instanceof SessionClosedError ? refusalOf(error) : error;
  }
}

async function sendBody(session: NodeSession, body: ReadableStream<Uint8Array> | null): Promise<void> {
  const writer = session.writable.getWriter();
  writer.closed.catch(() => undefined);
  let bytes = 0;
  let isTaken = true;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > READ_BYTES) break;
    if (isTaken) {
      isTaken = await writer.write(chunk).then(
        () => true,
        () => false,
      );
    }
  }
  if (isTaken) await writer.close();
}

/** @throws SessionClosedError when the session ends before; ApiError when the host sends no valid line */
async function readHead(reader: Reader): Promise<{ head: FileHead; rest: Uint8Array }> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < MAX_HEAD_BYTES) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes = Buffer.concat([bytes, value]);
    const end = bytes.subarray(0, MAX_HEAD_BYTES).indexOf(NEWLINE);
    if (end < 0) continue;
    return { head: parseJson(FileHead, bytes.toString('utf8', 0, end)), rest: bytes.subarray(end + 1) };
  }
  throw new ApiError('unavailable', 'The transfer was not answered: try again.', { retryAfterMs: 1000 });
}

/** The content of the answer. It fails when the session does, so that a part is not taken for the file. */
function contentOf(session: NodeSession, reader: Reader, rest: Uint8Array): ReadableStream<Uint8Array> {
  let first: Uint8Array | undefined = rest.length > 0 ? rest : undefined;
  return new ReadableStream(
    {
      pull: async (controller) => {
        const { done, value } = first ? { done: false, value: first } : await reader.read();
        first = undefined;
        if (value) controller.enqueue(value);
        if (done) controller.close();
      },
      cancel: () => session.abort(),
    },
    { highWaterMark: 0 },
  );
}

/** Sessions that end for another reason are `unavailable`. */
const REFUSALS: Partial<Record<SessionCode, [ErrorCode, string]>> = {
  too_large: ['payload_too_large', 'The body is larger than 64 MB: send less.'],
  aborted: ['bad_request', 'The body broke off: send it again.'],
  idle_timeout: ['request_timeout', 'Nothing was sent for a minute: send the request again.'],
  deadline_exceeded: ['upstream_timeout', 'The transfer took too long: try again.'],
  container_ended: ['conflict', 'The desktop has ended: start another one.'],
};

function refusalOf({ code }: SessionClosedError): ApiError {
  const [status, message] = REFUSALS[code] ?? ['unavailable', 'The transfer was interrupted: try again.'];
  return new ApiError(status, message, status === 'unavailable' ? { retryAfterMs: 1000 } : {});
}
