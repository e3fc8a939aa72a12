import type { Ledger } from '@warmwind/shared/engine/node/ledger';
import type { Records } from '@warmwind/shared/engine/node/records';
import type { Logger } from '@warmwind/shared/runtime/node/log';
import type { Queue } from 'bullmq';
import type { CallHost } from '../calls/host.ts';
import type { Presence } from '../hosts/presence.ts';
import type { Metrics } from '../metrics.ts';
import type { Pauses } from '../pauses/pauses.ts';
import type { Offer } from '../placement/offer.ts';
import type { WarmPool } from '../pool/warm-pool.ts';
import type { ScreenHost } from '../screen/host.ts';
import type { SessionHost } from '../sessions/host.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';
import type { Admission } from './admission.ts';
import type { Engine } from './engine.ts';
import type { Volumes } from './volumes.ts';

/** A start that this process is working on. */
type Starting = {
  /** Aborted by the desktop's stop. */
  abort: AbortController;
  /** Resolves when its work is over; never rejects. */
  done: Promise<unknown>;
};

/** The dependencies and state that all work on desktops in one process shares. */
export type DesktopHost = {
  /** The host's name, `WORKER_HOST`. */
  name: string;
  /** The boot id under which this process holds that name. */
  boot: string;
  engine: Engine;
  /** The resources of this host for desktops. */
  offer: Offer;
  admission: Admission;
  pool: WarmPool;
  volumes: Volumes;
  records: Records;
  /** `undefined` in a fleet without a ledger. */
  ledger: Ledger | undefined;
  metrics: Metrics;
  log: Logger;
  presence: Presence;
  /** The desktops that are paused here. */
  pauses: Pauses;
  /** The screens of the desktops that run here. */
  screens: ScreenHost;
  /** The sessions of the desktops that run here. */
  sessions: SessionHost;
  /** The calls of the desktops that run here. */
  calls: CallHost;
  /** The supervisors of the desktops that run here: programs, terminals, files. */
  supervisors: Supervisors;
  /** Returns a queue by its name, to add to or remove from. */
  queue: (name: string) => Queue;
  /** Active starts by container id. */
  starting: Map<string, Starting>;
  /** Removals that a shutdown waits for; they never reject. */
  removing: Set<Promise<void>>;
};
