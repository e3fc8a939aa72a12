import type { Ports } from './ports.ts';
import type { Secrets } from './secrets.ts';
import type { Settings } from './settings.ts';
import type { StateDir } from './state.ts';

/** The inputs from which the parts of a stack are made. */
export type PartsContext = {
  root: string;
  dir: StateDir;
  settings: Settings;
  secrets: Secrets;
  ports: Ports;
  /** Paths of installed programs. */
  redisServer: string;
  nginx: string | undefined;
  /** Without it the edge connects to PostgreSQL itself. */
  pgbouncer: string | undefined;
};
