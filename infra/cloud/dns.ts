import { isProduction } from './stage.ts';

const zone = process.env.WARMWIND_DOMAIN;
if (!zone) throw new Error('set WARMWIND_DOMAIN to a domain of your Cloudflare account, as example.com');

/** One level below the zone, which is what Cloudflare's own certificate covers. */
const host = (name: string) => `${isProduction ? name : `${name}-${$app.stage}`}.${zone}`;

/** The host names of this stage. */
export const hosts = {
  edge: host('api'),
  relay: host('relay'),
  /** Only where the queue Redis is in our network. */
  gateway: host('queue'),
  /** For Hyperdrive alone, see hyperdrive.ts. */
  ledger: host('ledger'),
  replica: host('replica'),
};

/** Records and certificates of the balancers, which are reached directly. */
export const dns = sst.cloudflare.dns();
/** Records of hosts that only Cloudflare reaches. */
export const proxied = sst.cloudflare.dns({ proxy: true });
