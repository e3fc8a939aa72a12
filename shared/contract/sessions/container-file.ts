import { z } from 'zod';
import { defineSession } from '../command.ts';
import { FILE_QUERY, FILE_TRANSFER_MS, MAX_FILE_BYTES, MAX_LISTED, MAX_PATH_BYTES } from '../files.ts';

/**
 * One transfer of a file or tree. The container's bytes begin with a line of JSON, see `FileHead`; the content
 * follows it. The bytes of the client are the content to write.
 */
export const containerFile = defineSession({
  kind: 'container.file',
  summary:
    'Reads, writes or deletes a file or folder below the home. The first line of the answer is JSON: its type and size, or an error.',
  input: z.strictObject({
    operation: z.enum(['read', 'write', 'delete']),
    path: z.string().max(MAX_PATH_BYTES).describe("Relative to the home, '' for the home itself."),
    ...FILE_QUERY,
    limit: z.number().int().min(1).max(MAX_LISTED).optional().describe('Of a listing: entries in a page.'),
    bytes: z
      .number()
      .int()
      .min(0)
      .max(MAX_FILE_BYTES)
      .optional()
      .describe('Of a write: how many bytes follow, if that is known.'),
  }),
  result: z.object({}),
  example: { operation: 'read', path: 'Documents/report.txt' },
  requires: ['running'],
  mode: 'control',
  maxMs: FILE_TRANSFER_MS,
  idleMs: 60_000,
  maxInputBytes: MAX_FILE_BYTES,
});
