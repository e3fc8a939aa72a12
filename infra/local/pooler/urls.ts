import { parseUpstream, type Upstream } from './upstream.ts';

/** Names of the pooler's databases, which are no names of users in an ordinary PostgreSQL. */
const NAMES = { LEDGER_URL: 'ledger_pool', LEDGER_READ_URL: 'replica_pool' } as const;

/** The databases of a deployment by their settings. */
export type LedgerUrls = { LEDGER_URL: string; LEDGER_READ_URL?: string | undefined };

/** Parses the databases that the pooler connects to. @throws Error with the setting's name and the reason */
export function poolerUpstreams({ LEDGER_URL, LEDGER_READ_URL }: LedgerUrls): Record<string, Upstream> {
  const ledger = parseUpstream('LEDGER_URL', LEDGER_URL);
  if (!LEDGER_READ_URL) return { [NAMES.LEDGER_URL]: ledger };
  const replica = parseUpstream('LEDGER_READ_URL', LEDGER_READ_URL);
  if (replica.tls.mode !== ledger.tls.mode) {
    throw new Error('LEDGER_READ_URL: use the sslmode of LEDGER_URL: the pooler has one for both');
  }
  return { [NAMES.LEDGER_URL]: ledger, [NAMES.LEDGER_READ_URL]: replica };
}

/**
 * The URL of a database through the pooler: with the database's own password.
 * @param address host and port of the pooler
 */
export function pooledUrl(setting: keyof typeof NAMES, url: string, address: string): string {
  const name = NAMES[setting];
  const { password } = parseUpstream(setting, url);
  return `postgres://${name}:${encodeURIComponent(password)}@${address}/${name}`;
}
