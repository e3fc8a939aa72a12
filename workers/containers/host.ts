import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import type { Records } from '@warmwind/shared/engine/node/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Queue } from 'bullmq';
import type { CallHost } from '../calls/host.ts';
import type { Presence } from '../hosts/presence.ts';
import type { Metrics } from '../metrics.ts';
import type { ScreenHost } from '../screen/host.ts';
import type { SessionHost } from '../sessions/host.ts';
import type { Admission } from './admission.ts';
import type { Engine } from './engine.ts';
import type { Volumes } from './volumes.ts';

/** A start that this process is working on. */
type Starting = {
  /** Aborted by the desktop's stop. */
  abort: AbortController;
  /** Resolves when nothing more is done for it; never rejects. */
  done: Promise<unknown>;
};

/** What the work on desktops shares in one process. */
export type DesktopHost = {
  /** `WORKER_HOST` and this process's own id under which it holds that name. */
  name: string;
  boot: string;
  engine: Engine;
  admission: Admission;
  volumes: Volumes;
  records: Records;
  /** `undefined`: there is none. */
  ledger: Ledger | undefined;
  metrics: Metrics;
  log: Logger;
  presence: Presence;
  /** Who shows the desktops that run here. */
  screens: ScreenHost;
  /** The sessions of the desktops that run here. */
  sessions: SessionHost;
  /** Who answers calls for them. */
  calls: CallHost;
  /** A queue by its name, to add to or remove from. */
  queue: (name: string) => Queue;
  /** By container id. */
  starting: Map<string, Starting>;
  /** Removals that a shutdown has yet to wait for; they never reject. */
  removing: Set<Promise<void>>;
};
