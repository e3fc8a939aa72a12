import { RELAY_AUDIENCE, TicketClaims } from '@warmwind/shared/contract/tickets';
import { type JWTPayload, jwtVerify } from 'jose';
import { LIMITS } from '../limits.ts';

export type VerifyTicket = (token: unknown) => Promise<TicketClaims | undefined>;

/**
 * The subject that a ticket's shares are counted for: its user, or the link of a guest, who takes nothing from the user that
 * shared it.
 */
export const subjectOf = ({ sub, jti, containerId }: TicketClaims): string =>
  containerId === undefined ? sub : `${sub} ${jti}`;

/** As `verify`, and `undefined` for a ticket that was revoked. */
export const unlessRevoked =
  (verify: VerifyTicket, isRevoked: (ticket: TicketClaims) => Promise<boolean>): VerifyTicket =>
  async (token) => {
    const ticket = await verify(token);
    return ticket && !(await isRevoked(ticket)) ? ticket : undefined;
  };

/**
 * A verifier of relay tickets: HS256 by one of `secrets` (the second while they rotate), for this audience, not
 * expired. `undefined` for everything else, an API token among it.
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
