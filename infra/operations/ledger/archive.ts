import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { CommandRefusedError } from './command.ts';

/**
 * The format of a dump: gzip of text. First the header (JSON, one line); then, for each of its tables, its
 * rows as PostgreSQL's `COPY … TO STDOUT` gives them, one a line, and a line `\.`; last the footer (JSON, one
 * line), so that a truncated dump is recognized.
 */
export const FORMAT = { format: 'warmwind-ledger', version: 1 } as const;
export const END_OF_ROWS = Buffer.from('\\.\n');
/** Longest accepted row, far above any of the ledger, bytes. */
const MAX_LINE = 64 * 1024 * 1024;

const Name = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/);
const Header = z.object({
  format: z.literal(FORMAT.format),
  version: z.literal(FORMAT.version),
  /** Number of migrations of the dumped schema. */
  migrations: z.number().int().min(1),
  at: z.iso.datetime(),
  tables: z.array(z.object({ name: Name, columns: z.array(Name).min(1).max(1000) })).max(1000),
});
export type Header = z.infer<typeof Header>;
const Footer = z.object({ rows: z.record(Name, z.number().int()) });
export type Footer = z.infer<typeof Footer>;

/**
 * Reads a dump from its file.
 * @throws CommandRefusedError when the file is malformed
 */
export class Archive {
  readonly header: Header;
  readonly #lines: AsyncGenerator<Buffer>;
  readonly #counted: Footer['rows'] = {};

  private constructor(header: Header, lines: AsyncGenerator<Buffer>) {
    this.header = header;
    this.#lines = lines;
  }

  static async open(file: string): Promise<Archive> {
    const lines = linesOf(file);
    return new Archive(await json(lines, Header), lines);
  }

  /** The rows of the header's next table, each with its end of line. Read them to the end. */
  async *rows(table: string): AsyncGenerator<Buffer> {
    let counted = 0;
    for (;;) {
      const line = await next(this.#lines);
      if (line.equals(END_OF_ROWS)) break;
      counted += 1;
      yield line;
    }
    this.#counted[table] = counted;
  }

  /**
   * Checks the footer; call it after the last table.
   * @returns the number of rows of each table
   * @throws CommandRefusedError when they are not those that were dumped
   */
  async end(): Promise<Footer['rows']> {
    const { rows } = await json(this.#lines, Footer);
    const same = this.header.tables.every(({ name }) => rows[name] === this.#counted[name]);
    if (!same || !(await this.#lines.next()).done) throw damaged();
    return rows;
  }

  async close(): Promise<void> {
    await this.#lines.return(undefined);
  }
}

async function* linesOf(file: string): AsyncGenerator<Buffer> {
  const source = createReadStream(file);
  const text = createGunzip();
  source.on('error', (error) => text.destroy(error));
  source.pipe(text);
  let rest: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of text as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        const line = chunk.subarray(from, end + 1);
        yield rest.length === 0 ? line : Buffer.concat([...rest, line]);
        rest = [];
        length = 0;
        from = end + 1;
      }
      if (from === chunk.length) continue;
      rest.push(chunk.subarray(from));
      length += chunk.length - from;
      if (length > MAX_LINE) throw damaged();
    }
  } catch (error) {
    throw isZlib(error) ? damaged(error) : error;
  } finally {
    source.destroy();
    text.destroy();
  }
  if (length > 0) throw damaged();
}

async function next(lines: AsyncGenerator<Buffer>): Promise<Buffer> {
  const { done, value } = await lines.next();
  if (done) throw damaged();
  return value;
}

async function json<T>(lines: AsyncGenerator<Buffer>, schema: z.ZodType<T>): Promise<T> {
  const line = await next(lines);
  try {
    return schema.parse(JSON.parse(line.toString('utf8')));
  } catch (cause) {
    throw damaged(cause);
  }
}

const isZlib = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(Z_|ERR_ZLIB)/.test(`${error.code}`);

const damaged = (reason?: unknown): CommandRefusedError =>
  Object.assign(
    new CommandRefusedError(
      'The file is no complete dump of a ledger: it is truncated, damaged, or another file.',
    ),
    {
      reason,
    },
  );
