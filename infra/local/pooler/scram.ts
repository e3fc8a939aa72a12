import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

/**
 * One round: the password of a deployment is 256 random bits, so that many rounds add no safety, and each of
 * the edge's connections would pay for them.
 */
const ITERATIONS = 1;
const SALT_BYTES = 16;

/**
 * Derives what a server keeps of a password for SCRAM-SHA-256: neither the password nor a login of a client can
 * be made of it.
 * @returns the form of PostgreSQL's `pg_authid` and PgBouncer's `auth_file`
 */
export function scramSecret(password: string, salt = randomBytes(SALT_BYTES)): string {
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256');
  const keyed = (text: string) => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(keyed('Client Key')).digest('base64');
  const server = keyed('Server Key').toString('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${stored}:${server}`;
}
