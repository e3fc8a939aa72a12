/**
 * The home of the queue Redis: Upstash, which speaks REST itself, or ElastiCache in our network behind our
 * gateway.
 */
type QueueHome = 'upstash' | 'elasticache';

/** The differences between stages. Sizes are the providers' names, without `db.` and `cache.`. */
type Stage = {
  queue: QueueHome;
  zones: number;
  redis: string;
  database: string;
  /** Days that backups of the ledger are kept. */
  backups: number;
  relay: { cpu: '0.5 vCPU' | '1 vCPU'; memory: '1 GB' | '2 GB'; min: number; max: number };
  gpu: { instance: string; spot: boolean; min: number; max: number };
  /** Images of desktops that may be asked for, the first by default: flavours of infra/images/desktop. */
  desktops: ('desktop' | 'desktop-browser')[];
  /** Report every permanent failure to the address in the secret AlertWebhookUrl. */
  alertWebhook: boolean;
  /** Keys of an issuer whose tokens the edge accepts too: `https://…/jwks.json`. */
  jwksUrl?: string;
  logs: '1 week' | '3 months';
};

const production: Stage = {
  queue: 'upstash',
  zones: 3,
  redis: 'm7g.large',
  database: 'm7g.large',
  backups: 30,
  relay: { cpu: '1 vCPU', memory: '2 GB', min: 3, max: 60 },
  gpu: { instance: 'g6.2xlarge', spot: false, min: 2, max: 40 },
  desktops: ['desktop', 'desktop-browser'],
  alertWebhook: true,
  logs: '3 months',
};

/** `dev`, and any stage of a person's own. */
const small: Stage = {
  queue: 'upstash',
  zones: 2,
  redis: 't4g.small',
  database: 't4g.small',
  backups: 1,
  relay: { cpu: '0.5 vCPU', memory: '1 GB', min: 2, max: 4 },
  gpu: { instance: 'g6.xlarge', spot: true, min: 1, max: 2 },
  desktops: ['desktop', 'desktop-browser'],
  alertWebhook: false,
  logs: '1 week',
};

export const isProduction = $app.stage === 'production';
export const stage = isProduction ? production : small;
/** The region of the provider, see sst.config.ts. */
export const region = aws.getRegionOutput().region;
/** Keeps the desktops of stages apart, see `FLEET`. */
export const fleet = `warmwind-${$app.stage}`;

/**
 * The longest that a service may drain, and the later time when it is killed. Balancers must have stopped
 * sending by then.
 */
export const SHUTDOWN_MS = 25_000;
export const STOP_TIMEOUT_S = 40;
