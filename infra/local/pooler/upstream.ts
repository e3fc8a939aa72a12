import { hasOwnPassword, PLACEHOLDER_REMEDY } from '@warmwind/shared/runtime/secrets';

/** A PostgreSQL behind the pooler. */
export type Upstream = {
  host: string;
  port: number;
  database: string;
  user: string;
  password: string;
  tls: { mode: TlsMode; authority?: string };
};

const TLS_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
type TlsMode = (typeof TLS_MODES)[number];

/** Certificates of Debian and of our images. */
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt';

/**
 * Parses the URL of a database.
 * @param name of the setting
 * @throws Error with the reason, never with the URL: it holds a password
 */
export function parseUpstream(name: string, url: string): Upstream {
  const wrong = (reason: string) => new Error(`${name}: ${reason}`);
  const { protocol, hostname, port, pathname, username, password, searchParams } = URL.parse(url) ?? {};
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') throw wrong('use postgres://…');
  if (!hostname || !username || !password || !pathname || pathname === '/') {
    throw wrong('name a user, a password, a host and a database');
  }
  if (!hasOwnPassword(url)) throw wrong(PLACEHOLDER_REMEDY);
  const mode = TLS_MODES.find((one) => one === (searchParams?.get('sslmode') ?? 'prefer'));
  if (!mode) throw wrong(`sslmode: use ${TLS_MODES.join(', ')}`);
  const fields = {
    host: hostname.replace(/^\[|\]$/g, ''),
    database: decodeURIComponent(pathname.slice(1)),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
  };
  // A line of the configuration can't hold them.
  if (Object.values(fields).some((text) => /\p{Cc}/u.test(text))) throw wrong('use no control characters');
  const authority = searchParams?.get('sslrootcert') ?? AUTHORITIES;
  if (/[\p{Cc}\s;#]/u.test(authority)) throw wrong('sslrootcert: use a path without spaces');
  const tls = { mode, ...(mode.startsWith('verify-') ? { authority } : {}) };
  return { ...fields, port: Number(port || 5432), tls };
}
