import { LIMIT_SCOPES, type LimitScope, type Limits } from '@warmwind/shared/contract/limits';
import { keys } from '@warmwind/shared/engine/keys';
import { OwnQuotas } from '@warmwind/shared/engine/user-limits';
import { parseJson } from '@warmwind/shared/runtime/json';
import { orUnavailable } from '../redis/record.ts';
import type { Services } from '../services.ts';

/** All scopes of a user. */
const SCOPES = LIMIT_SCOPES.filter((scope) => scope !== 'ip');
/** Those of a user that is no administrator. */
export const USER_SCOPES = SCOPES.filter((scope) => scope !== 'admin');

/**
 * Reads the tiers and quotas of a user and what is left of them. Nothing is consumed.
 * @param scopes the scopes of the tiers; all if left out
 * @throws ApiError `unavailable` while Redis does not answer
 */
export async function currentLimits(
  { config, limiter, redis }: Services,
  user: string,
  scopes: readonly LimitScope[] = SCOPES,
): Promise<Limits> {
  const now = `(${Date.now()}`;
  const [{ tiers }, [jobs, desktops, effective]] = await orUnavailable(
    Promise.all([
      limiter.peek(user, scopes),
      redis
        .pipeline()
        .zcount(keys.openJobs(user), now, '+inf')
        .zcount(keys.openContainers(user), now, '+inf')
        .hget(keys.userLimits(user), 'effective')
        .exec<[number, number, string | null]>(),
    ]),
  );
  const own = effective === null ? {} : parseJson(OwnQuotas, effective).quotas;
  return {
    tiers: tiers.map(({ resetUs, ...tier }) => ({
      ...tier,
      resetAt: new Date(Math.ceil(resetUs / 1000)).toISOString(),
    })),
    quotas: [
      { name: 'jobs', limit: own.jobs ?? config.QUOTAS.jobs, used: jobs },
      { name: 'desktops', limit: own.desktops ?? config.QUOTAS.desktops, used: desktops },
    ],
  };
}
