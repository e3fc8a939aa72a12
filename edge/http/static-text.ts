import { gzipSync } from 'node:zlib';
import type { Context } from 'hono';
import type { AppEnv } from '../env.ts';
import { etagOf, isKnownVersion } from './etag.ts';

type Made = { plain: Uint8Array<ArrayBuffer>; gzip: Uint8Array<ArrayBuffer>; etag: string; gzipEtag: string };

/** The bytes are compressed already: the runtime must not compress them again. */
const AS_THEY_ARE = { encodeBody: 'manual' } as ResponseInit;

/**
 * A text that is the same for every client: named by its content and compressed once an isolate, answered
 * with `304` to a client that has it, and compressed for a client that accepts gzip.
 */
export class StaticText {
  readonly #load: () => Promise<string>;
  readonly #type: string;
  #made: Made | undefined;

  /** @param type the value of `Content-Type` */
  constructor(type: string, load: () => Promise<string> | string) {
    this.#type = type;
    this.#load = async () => load();
  }

  /** @param headers of this answer, added to the usual ones */
  async respond(c: Context<AppEnv>, headers: Record<string, string>): Promise<Response> {
    this.#made ??= await make(await this.#load());
    const { plain, gzip, etag, gzipEtag } = this.#made;
    const compressed = acceptsGzip(c.req.header('Accept-Encoding'));
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    c.header('Vary', 'Accept-Encoding', { append: true });
    c.header('ETag', compressed ? gzipEtag : etag);
    const known = [etag, gzipEtag].some((tag) => isKnownVersion(c.req.header('If-None-Match'), tag));
    if (known) return c.body(null, 304);
    c.header('Content-Type', this.#type);
    if (!compressed) return c.body(plain);
    c.header('Content-Encoding', 'gzip');
    return new Response(gzip, { ...AS_THEY_ARE, headers: c.body(null).headers });
  }
}

async function make(text: string): Promise<Made> {
  const plain = new TextEncoder().encode(text);
  const etag = await etagOf(plain);
  const gzip = new Uint8Array(gzipSync(plain));
  return { plain, gzip, etag, gzipEtag: etag.replace(/"$/, '-gzip"') };
}

/** Whether `Accept-Encoding` lists gzip, or `*`, with a weight other than zero. */
export function acceptsGzip(header: string | undefined): boolean {
  const weights = new Map(
    (header ?? '').split(',').map((part) => {
      const [coding = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
      const q = parameters.find((parameter) => /^q\s*=/.test(parameter))?.split('=')[1];
      return [coding, q === undefined ? 1 : Number(q)] as const;
    }),
  );
  return (weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0) > 0;
}
