import type { JobKind, JobResults } from '@warmwind/shared/contract/registry';
import type { DesktopHost } from '../containers/host.ts';
import { createStart } from '../containers/start.ts';
import { createStop } from '../containers/stop.ts';
import type { Models } from '../inference/models.ts';
import type { Handler } from '../runtime/delivery.ts';

/** What handlers work with: the containers of this host, and the models that it serves. */
export type CommandContext = { host: DesktopHost; models: Models };

type Handlers = { [Kind in JobKind]: Handler<JobResults[Kind]> };

/** The handler of every kind of job, which returns the result of its kind. */
export const createHandlers = ({ host, models }: CommandContext): Handlers => ({
  'container.start': createStart(host),
  'container.stop': createStop(host),
  inference: models.generation,
});
