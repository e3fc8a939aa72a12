import { z } from 'zod';
import { readTier, type UserLimits } from '../contract/limits.ts';

/** A tier for the limiter's script: limit, window in µs, name. */
export type ScriptTier = [limit: number, windowUs: number, name: string];

/**
 * The limits of a user in the form that the scripts of the limiter and of submissions read, as JSON in the field
 * `effective` of `keys.userLimits`. A scope or quota that is left out is that of the request.
 */
export type OwnLimits = {
  tiers: Partial<Record<string, ScriptTier[]>>;
  quotas: { jobs?: number; desktops?: number };
};

/** The quotas in `OwnLimits`, for a reader. */
export const OwnQuotas = z.object({
  quotas: z.object({ jobs: z.number().optional(), desktops: z.number().optional() }),
});

/** Converts limits for the scripts. */
export function ownLimits({ rateLimits = {}, jobs, desktops }: UserLimits): OwnLimits {
  const tiers = Object.entries(rateLimits).flatMap(([scope, texts]): [string, ScriptTier[]][] =>
    texts === undefined ? [] : [[scope, texts.map((text) => scriptTier(readTier(text)))]],
  );
  return {
    tiers: Object.fromEntries(tiers),
    quotas: { ...(jobs === undefined ? {} : { jobs }), ...(desktops === undefined ? {} : { desktops }) },
  };
}

/** Converts a tier for the scripts. */
export const scriptTier = ({
  limit,
  windowMs,
  name,
}: {
  limit: number;
  windowMs: number;
  name: string;
}): ScriptTier => [limit, windowMs * 1000, name];

/** The limits of a user with their time (ms) and the administrator that set or removed them. */
export type SetLimits = { limits: UserLimits; at: number | undefined; by: string };

/** How long Redis remembers that limits were removed, ms, so that an earlier write does not set them again. */
const REMOVED_TTL_MS = 86_400_000;

/** Are these the limits of the deployment? */
export const isUsual = ({ rateLimits = {}, jobs, desktops }: UserLimits): boolean =>
  Object.values(rateLimits).every((tiers) => tiers === undefined) &&
  jobs === undefined &&
  desktops === undefined;

/** The arguments of `setUserLimits`. */
export const setLimitsArgs = ({ limits, at, by }: SetLimits) => ({
  at,
  by,
  limits: JSON.stringify(limits),
  effective: JSON.stringify(ownLimits(limits)),
  ttlMs: isUsual(limits) ? REMOVED_TTL_MS : undefined,
});
