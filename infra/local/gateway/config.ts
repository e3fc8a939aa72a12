import { hasOwnPassword, PLACEHOLDER_REMEDY, secretText } from '@warmwind/shared/runtime/secrets';
import { z } from 'zod';

/** The gateway's environment. */
export const Config = z.object({
  REDIS_URL: z
    .url({
      protocol: /^(rediss?|redis\+sentinel)$/,
      error: 'redis://, rediss:// or redis+sentinel:// URL expected',
    })
    .refine(hasOwnPassword, PLACEHOLDER_REMEDY)
    .meta({ description: 'The queue Redis.', secret: true }),
  GATEWAY_TOKEN: secretText(16).describe(
    'Bearer token of its clients: UPSTASH_REDIS_REST_TOKEN of the edge.',
  ),
  BIND: z.string().default('127.0.0.1').describe('Address to listen on.'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(8079).describe('Port to listen on.'),
});

/** Bounds of one request, and of all of them together. */
export type Limits = {
  /** Bytes of a request's body. */
  bodyBytes: number;
  /** Commands in a pipeline or a transaction. */
  commands: number;
  /** Arguments of a command. */
  args: number;
  /** Requests that are answered at the same time; more are refused, so that a slow Redis fills no memory. */
  requests: number;
  /** Milliseconds that a command may take. */
  commandMs: number;
  /** Streams of events that are open at the same time; of them those of MONITOR, each of which slows Redis down. */
  streams: number;
  monitors: number;
  /** Channels or patterns of one stream. */
  names: number;
  /**
   * Bytes that may wait for a stream's client before it is disconnected, and the longest life of a stream,
   * ms.
   */
  streamBytes: number;
  streamMs: number;
};

export const DEFAULT_LIMITS: Limits = {
  bodyBytes: 4 * 2 ** 20,
  commands: 1000,
  args: 10_000,
  requests: 1000,
  commandMs: 1500,
  streams: 100,
  monitors: 1,
  names: 100,
  streamBytes: 2 ** 20,
  streamMs: 24 * 3_600_000,
};
