import { z } from '@hono/zod-openapi';
import { Job } from '@warmwind/shared/jobs';
import type { Context } from 'hono';
import { JOB } from '../docs/examples.ts';
import type { AppEnv } from '../env.ts';
import { unquote } from '../http/media-type.ts';
import { header, json } from '../http/openapi.ts';

/** The headers of every route that submits. */
export const SubmitHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(/^(?!""$)[\x21-\x7e]{1,255}$/, 'use 1-255 visible ASCII characters')
    .optional()
    .describe('Same key and request: the same job, once. Remembered for 24 hours.'),
  prefer: z
    .string()
    .optional()
    .describe('`wait=N`: answer with the finished job if it ends within N seconds, 10 at most (RFC 7240).'),
});
export type SubmitHeaders = z.infer<typeof SubmitHeaders>;

const REPLAYED = {
  'Idempotent-Replayed': header('`true` when the key was used before: this is what it was used for.'),
};
const WAITED = { 'Preference-Applied': header('How long `Prefer: wait` was honoured for.') };

/** The answers of every route that submits. */
export const submitted = <T extends z.ZodType>(accepted: T, example: z.input<T>) => ({
  200: { ...json(Job, 'The finished job, if it was waited for.', JOB), headers: { ...REPLAYED, ...WAITED } },
  202: { ...json(accepted, 'Accepted.', example), headers: REPLAYED },
});

/** A caller's key and what it was used for, as SHA-256: neither is stored in clear. */
export type Idempotency = { keyHash: string; requestHash: string };

/** `undefined` without a key. The same key on another route, path or body is another request. */
export async function idempotency(
  c: Context<AppEnv>,
  key: string | undefined,
  input: unknown,
): Promise<Idempotency | undefined> {
  if (key === undefined) return undefined;
  const [keyHash, requestHash] = await Promise.all([
    // In quotes it is the same key: HTTP's structured headers write it so.
    sha256(unquote(key)),
    sha256(JSON.stringify([c.req.method, c.req.path, input])),
  ]);
  return { keyHash, requestHash };
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return new Uint8Array(digest).toHex();
}
