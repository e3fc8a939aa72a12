import { ADMIN_ROLE } from '@warmwind/shared/contract/admin';
import { ApiError } from '@warmwind/shared/contract/errors';
import { isUserId } from '@warmwind/shared/contract/ids';
import { API_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { Config } from '../config.ts';
import { unavailable } from '../http/errors.ts';

/**
 * The user of a valid API token. `expiresAt` is in seconds since 1970; `tokenId` is the token's own `jti`. Any other
 * `role` of a token has no effect.
 */
export type User = { id: string; expiresAt: number; tokenId?: string; role?: typeof ADMIN_ROLE };

const TOKEN_ID = /^[\x21-\x7e]{1,128}$/;

/**
 * Verifies a token.
 * @returns its user
 * @throws ApiError `unauthenticated` with what to do about it, or `unavailable` without the issuer's keys
 */
export type VerifyToken = (token: string) => Promise<User>;

const MAX_TOKEN_LENGTH = 8192;
const SHARED_SECRET = 'HS256';
const PUBLIC_KEY = ['RS256', 'ES256'];

/**
 * Creates a verifier of the tokens that the configuration accepts: HS256 by either secret, RS256 and ES256 by
 * the issuer's published keys.
 */
export function createVerifier(config: Config): VerifyToken {
  const { AUTH_SECRET, AUTH_SECRET_PREVIOUS, AUTH_JWKS_URL } = config;
  const published = AUTH_JWKS_URL ? publishedKeys(AUTH_JWKS_URL) : undefined;
  const present = keysBy(hmacKey(AUTH_SECRET), published);
  const previous = AUTH_SECRET_PREVIOUS ? keysBy(hmacKey(AUTH_SECRET_PREVIOUS), published) : undefined;

  return async (token) => {
    if (token.length > MAX_TOKEN_LENGTH) throw rejected('is too long');
    try {
      return await verify(token, present);
    } catch (error) {
      if (!previous || !(error instanceof errors.JWSSignatureVerificationFailed)) throw explain(error);
    }
    return verify(token, previous).catch((error: unknown) => {
      throw explain(error);
    });
  };
}

async function verify(token: string, keys: JWTVerifyGetKey): Promise<User> {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: [SHARED_SECRET, ...PUBLIC_KEY],
    audience: API_AUDIENCE,
    requiredClaims: ['exp', 'sub'],
  });
  return userOf(payload);
}

/** The algorithm selects the key: a published key never serves as a shared secret, or the reverse. */
const keysBy =
  (secret: () => Promise<CryptoKey>, published: JWTVerifyGetKey | undefined): JWTVerifyGetKey =>
  (header, token) => {
    if (header?.alg === SHARED_SECRET) return secret();
    if (published) return published(header, token);
    throw new errors.JOSEAlgNotAllowed('no issuer is configured');
  };

/** Imports a shared secret as a key, once. */
function hmacKey(secret: string): () => Promise<CryptoKey> {
  let key: CryptoKey | undefined;
  const bytes = new TextEncoder().encode(secret);
  return async () => {
    key ??= await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
    return key;
  };
}

const publishedKeys = (url: string): JWTVerifyGetKey =>
  createRemoteJWKSet(new URL(url), { timeoutDuration: 2000, cooldownDuration: 30_000, cacheMaxAge: 600_000 });

function userOf({ sub, exp = 0, jti, role }: JWTPayload): User {
  if (!isUserId(sub)) throw rejected('names no user that can exist here');
  return {
    id: sub,
    expiresAt: exp,
    ...(jti !== undefined && TOKEN_ID.test(jti) ? { tokenId: jti } : {}),
    ...(role === ADMIN_ROLE ? { role: ADMIN_ROLE } : {}),
  };
}

const rejected = (why: string): ApiError =>
  new ApiError('unauthenticated', `The bearer token ${why}: get a new one.`);

function explain(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof errors.JOSEAlgNotAllowed)
    return rejected('is not signed in a way that is accepted here');
  if (error instanceof errors.JWTExpired) return rejected('has expired');
  if (error instanceof errors.JWTClaimValidationFailed) {
    return rejected(error.claim === 'aud' ? 'is meant for another service' : `lacks a valid ${error.claim}`);
  }
  if (error instanceof errors.JWKSNoMatchingKey) return rejected('is signed by an unknown key');
  if (error instanceof errors.JOSEError && !isIssuerFailure(error)) return rejected('is not valid');
  return unavailable("The token issuer's keys can't be fetched now: retry.");
}

const isIssuerFailure = (error: errors.JOSEError): boolean =>
  error instanceof errors.JWKSTimeout ||
  error instanceof errors.JWKSInvalid ||
  error.code === 'ERR_JOSE_GENERIC';
