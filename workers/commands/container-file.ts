import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { ERROR_STATUS, type ErrorCode, isErrorCode } from '@warmwind/shared/contract/errors';
import { FILE_TRANSFER_MS, type FileHead, MAX_FILE_BYTES } from '@warmwind/shared/contract/files';
import type { containerFile } from '@warmwind/shared/contract/sessions/container-file';
import type { SessionResults } from '@warmwind/shared/contract/sessions/registry';
import type { z } from 'zod';
import type { SessionContext, SessionHandler } from '../sessions/handler.ts';
import { SupervisorError } from '../supervisor/error.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';

type Input = z.output<typeof containerFile.input>;

const METHODS = { read: 'GET', write: 'PUT', delete: 'DELETE' } as const;

/** Creates the handler of `container.file`. @param supervisors the supervisors of this host's containers */
export const createFile =
  (supervisors: Pick<Supervisors, 'of'>): SessionHandler<Input, SessionResults['container.file']> =>
  async (session) => {
    const writer = session.writable.getWriter();
    const answer = await request(supervisors, session).catch(refusalOf);
    if ('code' in answer) {
      await writer.write(line(answer));
      return {};
    }
    await writer.write(line(headOf(answer)));
    let bytes = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > 2 * MAX_FILE_BYTES) throw new Error('the supervisor sent too much');
      await writer.write(chunk);
    }
    return {};
  };

function request(
  supervisors: Pick<Supervisors, 'of'>,
  { containerId, input, readable, signal }: SessionContext<Input>,
): Promise<IncomingMessage> {
  const { operation, path, archive, after, limit, bytes } = input;
  const query = new URLSearchParams({
    path,
    ...(archive === undefined ? {} : { archive }),
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit: `${limit}` }),
  });
  const body = operation === 'write' ? { body: Readable.fromWeb(readable as NodeReadableStream) } : {};
  return supervisors.of(containerId).request({
    method: METHODS[operation],
    path: `/files?${query}`,
    headers: bytes === undefined ? {} : { 'Content-Length': `${bytes}` },
    ...body,
    timeoutMs: FILE_TRANSFER_MS,
    signal,
  });
}

/** The first line of the answer from its headers, of which none is trusted. */
function headOf({ headers }: IncomingMessage): FileHead {
  const type = headers['x-file-type'];
  const size = headers['content-length'];
  const modifiedAt = headers['last-modified'];
  return {
    ...(type === 'file' || type === 'directory' || type === 'archive' ? { type } : {}),
    ...(size !== undefined && /^\d{1,9}$/.test(size) ? { size: Number(size) } : {}),
    ...(modifiedAt !== undefined && !Number.isNaN(Date.parse(modifiedAt))
      ? { modifiedAt: new Date(modifiedAt).toUTCString() }
      : {}),
  };
}

/**
 * The refusal of the supervisor for the client.
 * @throws the error when it is of another kind: the session fails
 */
function refusalOf(error: unknown): { code: ErrorCode; message: string } {
  if (!(error instanceof SupervisorError)) throw error;
  const message = error.message.slice(0, 500);
  const { code, status } = error;
  if (isErrorCode(code) && ERROR_STATUS[code] === status) return { code, message };
  return { code: CLIENT_CODES[code] ?? 'unavailable', message };
}

const CLIENT_CODES: Record<string, ErrorCode> = { no_supervisor: 'conflict', timeout: 'upstream_timeout' };

const line = (head: FileHead): Uint8Array => new TextEncoder().encode(`${JSON.stringify(head)}\n`);
