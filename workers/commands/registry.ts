import type { JobKind } from '@warmwind/shared/contract/registry';
import type { DesktopHost } from '../containers/host.ts';
import { createStart } from '../containers/start.ts';
import { createStop } from '../containers/stop.ts';
import type { Models } from '../inference/models.ts';
import type { Handler } from '../jobs/runtime.ts';

/** What handlers work with: the containers of this host, and the models that it serves. */
export type CommandContext = { host: DesktopHost; models: Models };

/** The handler of every kind of job. */
export const createHandlers = ({ host, models }: CommandContext): Record<JobKind, Handler> => ({
  'container.start': createStart(host),
  'container.stop': createStop(host),
  inference: models.generation,
});
