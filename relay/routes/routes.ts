import type { CallCommand } from '@warmwind/shared/contract/command';
import type { VerifyTicket } from '../auth/ticket.ts';
import type { CallsContext } from '../calls/answer.ts';
import { guard } from '../http/guard.ts';
import type { Http } from '../http/http.ts';
import { share } from '../http/share.ts';
import type { Metrics } from '../metrics.ts';
import type { Rates } from '../shares.ts';
import { callRoutes } from './calls.ts';
import type { ContainersContext } from './containers-context.ts';
import { type FilesContext, fileRoutes } from './files.ts';
import { jobEnd } from './job-end.ts';
import { jobEvents } from './job-events.ts';
import type { JobsContext } from './jobs-context.ts';
import { screenshot } from './screenshot.ts';
import { expelViewer, listViewers } from './viewers.ts';

export type RoutesContext = JobsContext &
  ContainersContext &
  CallsContext &
  FilesContext & {
    /** The calls that are relayed. */
    commands: readonly CallCommand[];
    verify: VerifyTicket;
    isDraining: () => boolean;
    lookups: Rates;
    metrics: Metrics;
  };

/** Adds every route that a ticket opens over HTTP. */
export function ticketRoutes(http: Http, context: RoutesContext): void {
  const { verify, isDraining, lookups, metrics } = context;
  for (const path of ['/jobs/*', '/containers/*']) {
    http.use(path, guard(verify, isDraining, metrics));
    http.use(path, share(lookups));
  }
  jobEvents(http, context);
  jobEnd(http, context);
  listViewers(http, context);
  expelViewer(http, context);
  callRoutes(http, context, context.commands);
  screenshot(http, context);
  fileRoutes(http, context);
}
