import { DirectoryListing, FILE_TRANSFER_MS, filePath } from '../contract/files.ts';
import { UnexpectedAnswerError } from './http-errors.ts';
import type { CallOptions, RequestOptions, Transport } from './transport.ts';

/** A file or folder of a container. */
export type FileAddress = {
  containerId: string;
  /** Relative to the home, with slashes between names. '' is the home itself. */
  path: string;
};

/** Options of a transfer. */
export type FileOptions = CallOptions & {
  /** The expected incarnation of the container. The edge refuses any other with `gone_incarnation`. */
  ifMatch?: number;
};

/** The methods of files. */
export type FileMethods = {
  /**
   * Reads a file of at most 64 MB. With `archive: 'tar'` it reads a folder with all that is in it.
   *
   * @returns the answer; read its body as a stream, a `Blob` or an `ArrayBuffer`
   *
   * @example
   * const text = await (await edge.readFile({ containerId, path: 'Documents/report.txt' })).text();
   */
  readFile(address: FileAddress & { archive?: 'tar' }, options?: FileOptions): Promise<Response>;
  /** Lists a page of a folder, at most 1,000 entries. `next` of the answer is `after` of the next page. */
  listFiles(
    address: FileAddress & { after?: string; limit?: number },
    options?: FileOptions,
  ): Promise<DirectoryListing>;
  /**
   * Replaces a file at once when all of `content` has arrived. With `archive: 'tar'` it adds the members of an
   * archive to a folder.
   */
  writeFile(
    address: FileAddress & { archive?: 'tar'; content: BodyInit },
    options?: FileOptions,
  ): Promise<void>;
  /** Deletes a file, or a folder with all that is in it. */
  deleteFile(address: FileAddress, options?: FileOptions): Promise<void>;
};

/** Makes the methods of files. @param transport sends the requests */
export function fileMethods(transport: Transport): FileMethods {
  const request = ({ ifMatch, ...options }: FileOptions = {}): RequestOptions => ({
    timeoutMs: FILE_TRANSFER_MS,
    ...options,
    headers: ifMatch === undefined ? {} : { 'If-Match': `"${ifMatch}"` },
  });
  const read = (path: string, options: RequestOptions) =>
    transport.send('GET', path, options, async (answer) => answer);
  const ignore = async () => undefined;
  return {
    readFile: async ({ containerId, path, ...query }, options) => {
      const answer = await read(filePath(containerId, path), { ...request(options), query });
      if (answer.headers.get('X-File-Type') !== 'directory') return answer;
      await answer.body?.cancel();
      throw new TypeError(`${path || 'The home'} is a folder: list it, or read it with archive: 'tar'.`);
    },
    listFiles: async ({ containerId, path, ...query }, options) => {
      const answer = await read(filePath(containerId, path), { ...request(options), query });
      if (answer.headers.get('X-File-Type') !== 'directory') {
        await answer.body?.cancel();
        throw new TypeError(`${path} is a file: read it.`);
      }
      const { data } = DirectoryListing.safeParse(await answer.json().catch(() => undefined));
      if (!data) throw new UnexpectedAnswerError(answer.status);
      return data;
    },
    writeFile: ({ containerId, path, content, ...query }, options) =>
      transport.send(
        'PUT',
        filePath(containerId, path),
        {
          ...request(options),
          query,
          content,
          repeatable: !(content instanceof ReadableStream),
        },
        ignore,
      ),
    deleteFile: ({ containerId, path }, options) =>
      transport.send('DELETE', filePath(containerId, path), request(options), ignore),
  };
}
