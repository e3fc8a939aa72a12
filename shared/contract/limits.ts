import { z } from 'zod';

/** No window of `windowMs` (Redis time) ever holds more than `limit` admitted requests. */
export type Tier = { name: string; limit: number; windowMs: number };

/**
 * Scopes that keep a log of their own: every request of a user but actions, every unauthenticated one of an
 * IP, one route.
 */
export const LIMIT_SCOPES = [
  'user',
  'ip',
  'containers.start',
  'containers.actions',
  'containers.files',
  'webhooks',
  'admin',
] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];
export type RateLimits = Record<LimitScope, Tier[]>;

const UNITS = { s: 1000, min: 60_000, h: 3_600_000 } as const;

/** A tier as text: `"10/s"`, `"100/min"`, `"1000/h"` or `"5/10s"`. */
const TierNotation = z
  .string()
  .regex(
    /^[1-9]\d{0,6}\/([1-9]\d{0,3})?(s|min|h)$/,
    'write a tier as "10/s", "100/min", "1000/h" or "5/10s"',
  );

/** Reads a tier from its text, which is also its name. */
export function readTier(text: string): Tier {
  const [limit = '', window = ''] = text.split('/');
  const unit = window.replace(/^\d+/, '') as keyof typeof UNITS;
  return { name: text, limit: Number(limit), windowMs: (Number.parseInt(window, 10) || 1) * UNITS[unit] };
}

export const TierText = TierNotation.transform(readTier);
const MAX_TIERS = 8;
const Tiers = z.array(TierText).max(MAX_TIERS);

/**
 * `RATE_LIMITS`: tiers by scope, as JSON. A scope that is left out keeps its default, `[]` lifts its limits.
 * Example: `{"user": ["10/s", "100/min"], "containers.start": []}`.
 */
export const RateLimitsConfig = z.strictObject({
  user: Tiers.prefault(['10/s', '100/min', '1000/h']),
  ip: Tiers.prefault(['50/s', '1000/min']),
  'containers.start': Tiers.prefault(['2/s']),
  'containers.actions': Tiers.prefault(['20/s', '600/min']),
  'containers.files': Tiers.prefault(['20/s', '600/min']),
  webhooks: Tiers.prefault(['2/s', '30/min']),
  admin: Tiers.prefault(['10/s', '300/min']),
});

const MAX_JOBS = 1_000_000;
const MAX_DESKTOPS = 10_000;

/** Outstanding work that one user may have at once. */
export const QuotasConfig = z.strictObject({
  jobs: z.number().int().min(1).max(MAX_JOBS).default(1000),
  desktops: z.number().int().min(1).max(MAX_DESKTOPS).default(20),
});
export type Quotas = z.infer<typeof QuotasConfig>;

const ownTiers = (requests: string) =>
  z.array(TierNotation).max(MAX_TIERS).optional().describe(`Tiers of ${requests}.`);

/**
 * The limits of one user that differ from those of the deployment. A scope or quota that is left out is that of the
 * deployment; `[]` lifts the limits of a scope.
 */
export const UserLimits = z
  .strictObject({
    rateLimits: z
      .strictObject({
        user: ownTiers('all requests that no other scope counts alone'),
        'containers.start': ownTiers('starts, in addition'),
        'containers.actions': ownTiers('actions'),
        'containers.files': ownTiers('requests for files'),
        webhooks: ownTiers('webhooks that are tested or sent again, in addition'),
        admin: ownTiers('requests below `/admin`'),
      } satisfies Record<Exclude<LimitScope, 'ip'>, z.ZodType>)
      .optional()
      .describe('Tiers by scope, in the form of `RATE_LIMITS`; `[]` lifts the limits of a scope.'),
    jobs: z.number().int().min(0).max(MAX_JOBS).optional().describe('Outstanding jobs at once.'),
    desktops: z.number().int().min(0).max(MAX_DESKTOPS).optional().describe('Desktops at once.'),
  })
  .meta({ id: 'UserLimits' });
export type UserLimits = z.infer<typeof UserLimits>;

/** `GET /limits` */
export const Limits = z
  .object({
    tiers: z
      .array(
        z.object({
          name: z.string().describe('As it is configured: `10/s`.'),
          limit: z.number().int().describe('Requests that it permits in its window.'),
          windowMs: z.number().int().describe('Its window, ms.'),
          remaining: z.number().int().describe('Requests that are left.'),
          resetAt: z.iso.datetime().describe('When there are more, in UTC.'),
        }),
      )
      .describe('The rate limits of the user.'),
    quotas: z
      .array(
        z.object({
          name: z.string().describe('`jobs` or `desktops`.'),
          limit: z.number().int().describe('Outstanding ones at once.'),
          used: z.number().int().describe('Outstanding ones now.'),
        }),
      )
      .describe('Bounds of outstanding work.'),
  })
  .meta({ id: 'Limits' });
export type Limits = z.infer<typeof Limits>;
