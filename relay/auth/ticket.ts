import { RELAY_AUDIENCE, TicketClaims } from '@warmwind/shared/contract/tickets';
import { type JWTPayload, jwtVerify } from 'jose';
import { LIMITS } from '../limits.ts';

export type VerifyTicket = (token: unknown) => Promise<TicketClaims | undefined>;

/**
 * Names the subject whose limits a ticket counts against: its user, or a guest's share link. A guest does not
 * use up the limits of the user that shared the link.
 */
export const subjectOf = ({ sub, jti, containerId }: TicketClaims): string =>
  containerId === undefined ? sub : `${sub} ${jti}`;

/** Wraps `verify` so that it returns `undefined` for a revoked ticket too. */
export const unlessRevoked =
  (verify: VerifyTicket, isRevoked: (ticket: TicketClaims) => Promise<boolean>): VerifyTicket =>
  async (token) => {
    const ticket = await verify(token);
    return ticket && !(await isRevoked(ticket)) ? ticket : undefined;
  };

/**
 * Creates a verifier of relay tickets: HS256 by one of `secrets` (the second while they rotate), for the
 * relay's audience, not expired. It returns `undefined` for every other token, an API token included.
 */
export function ticketVerifier(secrets: string[]): VerifyTicket {
  const keys = secrets.map((secret) => new TextEncoder().encode(secret));
  return async (token) => {
    if (typeof token !== 'string' || token.length > LIMITS.tokenBytes) return undefined;
    for (const key of keys) {
      const payload = await verify(token, key);
      if (payload) return TicketClaims.safeParse(payload).data;
    }
    return undefined;
  };
}

const verify = (token: string, key: Uint8Array): Promise<JWTPayload | undefined> =>
  jwtVerify(token, key, {
    algorithms: ['HS256'],
    audience: RELAY_AUDIENCE,
    requiredClaims: ['sub', 'jti', 'exp'],
  }).then(
    ({ payload }) => payload,
    () => undefined,
  );
