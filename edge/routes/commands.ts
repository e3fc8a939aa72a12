import { Accepted, AcceptedContainers } from '@warmwind/shared/contract/answers';
import type { JobCommand } from '@warmwind/shared/contract/command';
import { JOB_COMMANDS, type JobKind } from '@warmwind/shared/contract/registry';
import { prepare } from '../admission/prepare.ts';
import type { AcceptedJob } from '../admission/submission.ts';
import { ACCEPTED, ACCEPTED_START } from '../docs/examples.ts';
import type { App } from '../env.ts';
import { json } from '../http/openapi.ts';
import type { Services } from '../services.ts';
import { submittingRoute } from './submitting.ts';

/** Adds a route for every command that becomes a job: `POST /containers/start`, `POST /inference`, … */
export function commandRoutes(app: App, services: Services): void {
  for (const command of JOB_COMMANDS) commandRoute(app, services, command);
}

function commandRoute(app: App, services: Services, command: JobCommand<JobKind>): void {
  const { http, input, example, container, limits, large } = command;
  const { body, ...route } = http;
  const creates = container === 'creates';
  submittingRoute(app, services, {
    route,
    scopes: limits,
    body: json(input, body, example),
    large,
    accepted: creates
      ? json(AcceptedContainers, 'Accepted.', ACCEPTED_START)
      : json(Accepted, 'Accepted.', ACCEPTED),
    submission: (c, request) => prepare(c, services, command, request),
    answer: creates ? acceptedContainers : ({ jobId }) => ({ jobId }),
  });
}

const acceptedContainers = ({ jobId, containerId, containerIds }: AcceptedJob): AcceptedContainers => ({
  jobId,
  containerId,
  ...(containerIds ? { containerIds } : {}),
});
