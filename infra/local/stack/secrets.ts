import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { API_AUDIENCE } from '@warmwind/shared/contract/tickets';
import { SignJWT } from 'jose';
import type { StackFile, StateDir } from './state.ts';

export type Secrets = {
  authSecret: string;
  gatewayToken: string;
  ledgerPassword: string;
  redisPassword: string;
  webhookSecret: string;
  adminPassword: string;
};
type Given = {
  [name in 'AUTH_SECRET' | 'GATEWAY_TOKEN' | 'WEBHOOK_SECRET' | 'ADMIN_PASSWORD']?: string | undefined;
};

const FILE = 'secrets.json';
const TOKEN_LIFETIME = '7d';

/** Made once and kept, so that tokens outlive a restart of the stack. The environment overrides them. */
export function loadSecrets(dir: StateDir, given: Given): Secrets {
  const kept = (dir.read(FILE) ?? {}) as Partial<Secrets>;
  const keptOrMade = (name: keyof Secrets) => kept[name] ?? randomBytes(32).toString('hex');
  const made: Secrets = {
    authSecret: keptOrMade('authSecret'),
    gatewayToken: keptOrMade('gatewayToken'),
    ledgerPassword: keptOrMade('ledgerPassword'),
    redisPassword: keptOrMade('redisPassword'),
    webhookSecret: keptOrMade('webhookSecret'),
    adminPassword: keptOrMade('adminPassword'),
  };
  if (!isDeepStrictEqual(made, kept)) dir.write(FILE, made);
  return {
    ...made,
    authSecret: given.AUTH_SECRET ?? made.authSecret,
    gatewayToken: given.GATEWAY_TOKEN ?? made.gatewayToken,
    webhookSecret: given.WEBHOOK_SECRET ?? made.webhookSecret,
    adminPassword: given.ADMIN_PASSWORD ?? made.adminPassword,
  };
}

/** Ready-to-use API tokens of two ordinary users and an operator. */
export async function makeTokens(authSecret: string): Promise<StackFile['tokens']> {
  const key = new TextEncoder().encode(authSecret);
  const sign = (sub: string, claims: Record<string, string> = {}) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(sub)
      .setAudience(API_AUDIENCE)
      .setIssuedAt()
      .setExpirationTime(TOKEN_LIFETIME)
      .sign(key);
  const [user, other, admin] = await Promise.all([
    sign('user-1'),
    sign('user-2'),
    sign('operator', { role: 'admin' }),
  ]);
  return { user, other, admin };
}
