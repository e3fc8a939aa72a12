import { newId } from '@warmwind/shared/ids';
import { RELAY_AUDIENCE, type TicketClaims } from '@warmwind/shared/realtime';
import { SignJWT } from 'jose';

/** A ticket as the relay takes it; `exp` in seconds since 1970. */
export type SignedTicket = { id: string; token: string; exp: number };

/** Signs tickets for the relay with the deployment's secret. */
export function createTickets(secret: string) {
  const key = new TextEncoder().encode(secret);
  return async (claims: Omit<TicketClaims, 'jti' | 'exp'>, ttlSeconds: number): Promise<SignedTicket> => {
    const id = newId();
    const issuedAt = Math.floor(Date.now() / 1000);
    const exp = issuedAt + ttlSeconds;
    const token = await new SignJWT({ ...claims, jti: id, exp } satisfies TicketClaims)
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuedAt(issuedAt)
      .setAudience(RELAY_AUDIENCE)
      .sign(key);
    return { id, token, exp };
  };
}
