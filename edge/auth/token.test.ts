import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApiError } from '@warmwind/shared/contract/errors';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signToken } from '../../infra/local/edge/testing.ts';
import { readConfig } from '../config.ts';
import { createVerifier } from './token.ts';

const SECRET = 'the-present-secret-0123456789abcdefgh';
const PREVIOUS = 'the-previous-secret-0123456789abcdefg';
const OTHER = 'some-other-secret-0123456789abcdefghi';

let issuer: Server;
let es256: CryptoKeyPair;
let rs256: CryptoKeyPair;
let strange: CryptoKeyPair;

beforeAll(async () => {
  [es256, rs256, strange] = await Promise.all([
    generateKeyPair('ES256'),
    generateKeyPair('RS256'),
    generateKeyPair('ES256'),
  ]);
  const keys = [
    { ...(await exportJWK(es256.publicKey)), kid: 'e', alg: 'ES256' },
    { ...(await exportJWK(rs256.publicKey)), kid: 'r', alg: 'RS256' },
  ];
  issuer = createServer((_request, response) => response.end(JSON.stringify({ keys })));
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
});
afterAll(() => issuer?.close());

const verifier = (over: Record<string, string | undefined> = {}) =>
  createVerifier(
    readConfig({
      UPSTASH_REDIS_REST_URL: 'http://redis.test',
      UPSTASH_REDIS_REST_TOKEN: 'token',
      RELAY_URL: 'http://relay.test',
      LEDGER: 'off',
      AUTH_SECRET: SECRET,
      WEBHOOK_SECRET: SECRET,
      AUTH_SECRET_PREVIOUS: PREVIOUS,
      AUTH_JWKS_URL: `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`,
      ...over,
    }),
  );
const failure = async (token: string | Promise<string>, verify = verifier()): Promise<ApiError> => {
  const error = await verify(await token).catch((e: unknown) => e);
  return error as ApiError;
};
const issued = (key: CryptoKey, alg: string, kid: string) =>
  new SignJWT({ sub: 'ada', aud: 'warmwind' })
    .setProtectedHeader({ alg, kid })
    .setExpirationTime('1h')
    .sign(key);

/** The user of every accepted token here. */
const ADA = { id: 'ada', expiresAt: expect.any(Number) };

describe('an API token', () => {
  test('is accepted by either secret while they rotate', async () => {
    const exp = Math.floor(Date.now() / 1000) + 60;
    expect(await verifier()(await signToken({ exp }, SECRET))).toEqual({ id: 'ada', expiresAt: exp });
    expect(await verifier()(await signToken({}, PREVIOUS))).toEqual(ADA);
  });

  test('has the role of an administrator by its claim `role`', async () => {
    expect(await verifier()(await signToken({ role: 'admin' }, SECRET))).toEqual({ ...ADA, role: 'admin' });
  });

  test.each(['king', 'Admin', ['admin'], { admin: true }, true, ''])(
    'has no role by the claim %j',
    async (role) => {
      expect(await verifier()(await signToken({ role }, SECRET))).toEqual(ADA);
    },
  );

  test("is accepted by the issuer's published keys", async () => {
    expect(await verifier()(await issued(es256.privateKey, 'ES256', 'e'))).toEqual(ADA);
    expect(await verifier()(await issued(rs256.privateKey, 'RS256', 'r'))).toEqual(ADA);
  });

  test.each([
    ['signed by another secret', () => signToken({}, OTHER), 'is not valid'],
    ['signed with another algorithm', () => signToken({}, SECRET.repeat(2), 'HS512'), 'signed in a way'],
    ['that has expired', () => signToken({ exp: 1 }, SECRET), 'has expired'],
    ['without an end', () => signToken({ exp: undefined }, SECRET), 'lacks a valid exp'],
    ['for the relay', () => signToken({ aud: 'warmwind-relay' }, SECRET), 'another service'],
    ['without an audience', () => signToken({ aud: undefined }, SECRET), 'another service'],
    ['of a user that can not exist', () => signToken({ sub: 'a}{b' }, SECRET), 'names no user'],
    ['without a user', () => signToken({ sub: undefined }, SECRET), 'lacks a valid sub'],
    ['that is not yet valid', () => signToken({ nbf: 9_999_999_999 }, SECRET), 'lacks a valid nbf'],
    ['that is not a JWT', () => 'hello', 'is not valid'],
    ['that is too long', () => 'x'.repeat(9000), 'is too long'],
    [
      'unsigned',
      () => 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJhdWQiOiJ3YXJtd2luZCIsImV4cCI6OTk5OTk5OTk5OX0.',
      'signed in a way',
    ],
    ['of an unknown key', () => issued(strange.privateKey, 'ES256', 'x'), 'unknown key'],
    ['of a forged known key', () => issued(strange.privateKey, 'ES256', 'e'), 'is not valid'],
  ])('%s is refused with its reason', async (_what, token, message) => {
    const error = await failure(token());
    expect([error.code, error.message]).toEqual(['unauthenticated', expect.stringContaining(message)]);
  });

  test('of an issuer is refused where none is configured', async () => {
    const error = await failure(
      issued(es256.privateKey, 'ES256', 'e'),
      verifier({ AUTH_JWKS_URL: undefined }),
    );
    expect(error.code).toBe('unauthenticated');
  });

  test('whose issuer can not be reached is unavailable, not unauthenticated', async () => {
    const error = await failure(
      issued(es256.privateKey, 'ES256', 'e'),
      verifier({ AUTH_JWKS_URL: 'http://127.0.0.1:1/' }),
    );
    expect(error.code).toBe('unavailable');
  });
});
