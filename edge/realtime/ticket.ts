import { newId } from '@warmwind/shared/contract/ids';
import { RELAY_AUDIENCE, type TicketClaims } from '@warmwind/shared/contract/tickets';
import { SignJWT } from 'jose';

/** A signed ticket for the relay; `exp` in seconds since 1970. */
export type SignedTicket = { id: string; token: string; exp: number };

/**
 * The lifetime of a ticket. `notAfter` is the expiry of the token that requests it, in seconds since 1970: no
 * ticket outlives its token.
 */
export type TicketLifetime = { ttlSeconds: number; notAfter?: number };

/** Signs tickets for the relay with the deployment's secret. */
export function createTickets(secret: string) {
  const key = new TextEncoder().encode(secret);
  return async (
    claims: Omit<TicketClaims, 'jti' | 'iat' | 'exp'>,
    { ttlSeconds, notAfter = Number.POSITIVE_INFINITY }: TicketLifetime,
  ): Promise<SignedTicket> => {
    const id = newId();
    const iat = Date.now() / 1000;
    const exp = Math.floor(Math.min(iat + ttlSeconds, notAfter));
    const token = await new SignJWT({ ...claims, jti: id, iat, exp } satisfies TicketClaims)
      .setProtectedHeader({ alg: 'HS256' })
      .setAudience(RELAY_AUDIENCE)
      .sign(key);
    return { id, token, exp };
  };
}
