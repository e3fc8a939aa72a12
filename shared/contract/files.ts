import { z } from 'zod';
import { ApiError, ERROR_STATUS, type ErrorCode } from './errors.ts';

/** The largest file, tree or archive that is transferred, bytes. */
export const MAX_FILE_BYTES = 64 * 2 ** 20;
/** The longest path below the home, and the longest name in it, bytes in UTF-8. */
export const MAX_PATH_BYTES = 4000;
export const MAX_NAME_BYTES = 255;
/** Entries in one page of a listing. */
export const MAX_LISTED = 1000;
/** How long one transfer may take, ms. */
export const FILE_TRANSFER_MS = 10 * 60_000;

/** The parameters of a read and of a write. */
export const FILE_QUERY = {
  archive: z
    .literal('tar')
    .optional()
    .describe('The folder with all that is in it, as a tar archive: 64 MB and 10,000 entries at most.'),
  after: z
    .string()
    .min(1)
    .max(MAX_NAME_BYTES)
    .optional()
    .describe('Of a listing: only names after this one. `next` of the page before.'),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_LISTED)
    .optional()
    .describe(`Of a listing: entries in a page, ${MAX_LISTED} if left out.`),
};

/** The answer to a read of a folder. */
export const DirectoryListing = z
  .object({
    items: z
      .array(
        z.object({
          name: z.string().describe('Its name. Bytes that are not UTF-8 are replaced by U+FFFD.'),
          type: z.enum(['file', 'directory', 'link', 'other']).describe('`other`: socket, pipe or device.'),
          size: z.number().int().describe('Bytes.'),
          modifiedAt: z.iso.datetime().describe('When its content was last changed, in UTC.'),
        }),
      )
      .describe('In the order of the bytes of their names.'),
    next: z.string().optional().describe('There are more: read on with `after` set to this.'),
  })
  .meta({ id: 'DirectoryListing' });
export type DirectoryListing = z.infer<typeof DirectoryListing>;

/** The content of the answer: of a file, of a folder as JSON, or of a tree as tar. */
const FILE_TYPES = ['file', 'directory', 'archive'] as const;
export type FileType = (typeof FILE_TYPES)[number];
export const MEDIA_TYPES: Record<FileType, string> = {
  file: 'application/octet-stream',
  directory: 'application/json',
  archive: 'application/x-tar',
};

/** The first line of the container's bytes in a session of files: the content follows it, or this is an error. */
export const FileHead = z.union([
  z
    .object({
      type: z.enum(FILE_TYPES).optional(),
      size: z
        .number()
        .int()
        .min(0)
        .max(2 * MAX_FILE_BYTES)
        .optional(),
      modifiedAt: z.string().max(64).optional(),
    })
    .strict(),
  z
    .object({
      code: z.enum(Object.keys(ERROR_STATUS) as ErrorCode[]),
      message: z.string().max(1000),
    })
    .strict(),
]);
export type FileHead = z.infer<typeof FileHead>;
/** The longest first line, bytes. */
export const MAX_HEAD_BYTES = 4096;

const utf8 = new TextEncoder();

/** The address of a file; `path` is relative to the home, '' for the home itself. */
export const filePath = (containerId: string, path: string): string =>
  `/containers/${encodeURIComponent(containerId)}/files/${path.split('/').map(encodeURIComponent).join('/')}`;

/**
 * Reads the path of a file from an address.
 * @param pathname percent-encoded, as the request had it
 * @returns the path relative to the home, '' for the home itself
 * @throws ApiError `bad_request`
 */
export function readFilePath(pathname: string): string {
  const [, encoded = ''] = /^\/containers\/[^/]*\/files\/(.*)$/s.exec(pathname) ?? [];
  const trimmed = encoded.endsWith('/') ? encoded.slice(0, -1) : encoded;
  if (trimmed === '') {
    if (encoded !== '') throw badPath('the path has an empty name: write one slash between names');
    return '';
  }
  const path = trimmed.split('/').map(readName).join('/');
  if (utf8.encode(path).length > MAX_PATH_BYTES) {
    throw badPath(`the path is longer than ${MAX_PATH_BYTES} bytes`);
  }
  return path;
}

function readName(encoded: string): string {
  let name: string;
  try {
    name = decodeURIComponent(encoded);
  } catch {
    throw badPath('percent-encode each name as UTF-8');
  }
  if (name === '') throw badPath('the path has an empty name: write one slash between names');
  if (name === '.' || name === '..') throw badPath('the path has a name of dots: write it without');
  if (name.includes('/') || name.includes('\0')) throw badPath('a name has a slash or a null character');
  if (utf8.encode(name).length > MAX_NAME_BYTES)
    throw badPath(`a name is longer than ${MAX_NAME_BYTES} bytes`);
  return name;
}

const badPath = (message: string) =>
  new ApiError('bad_request', `Correct the path: ${message}.`, { issues: [{ path: 'path', message }] });
