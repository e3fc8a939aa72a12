import { ApiError } from '@warmwind/shared/contract/errors';
import type { DesktopProcess } from '@warmwind/shared/contract/programs';
import { iso } from '@warmwind/shared/runtime/times';
import type { CallHandlers } from '../calls/call.ts';
import { SupervisorError } from '../supervisor/error.ts';
import type { SupervisedProcess } from '../supervisor/process.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';
import { endProcess } from './program.ts';

/** Creates the handler of `container.processes`. */
export const createProcesses =
  (supervisors: Supervisors): CallHandlers['container.processes'] =>
  async ({ containerId, signal }) => {
    const list = async () => supervisors.of(containerId).list({ signal });
    return { items: (await list().catch(refuse)).map(publicProcess) };
  };

/** Creates the handler of `container.end-process`. */
export const createEndProcess =
  (supervisors: Supervisors): CallHandlers['container.end-process'] =>
  async ({ containerId, input: { processId } }) => {
    const end = async () => endProcess(supervisors.of(containerId), processId);
    if (!(await end().catch(refuse)))
      throw new ApiError('not_found', 'The desktop has no such process: list its processes.');
    return { processId };
  };

/** @throws ApiError for an error of the supervisor */
function refuse(error: unknown): never {
  if (!(error instanceof SupervisorError)) throw error;
  throw new ApiError(error.code === 'no_supervisor' ? 'conflict' : 'unavailable', error.message);
}

function publicProcess({
  id,
  pid,
  cmd,
  startedAt,
  state,
  exitCode,
  signal,
  tty,
  background,
}: SupervisedProcess): DesktopProcess {
  return {
    id,
    pid,
    cmd,
    startedAt: iso(startedAt),
    state,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(signal === undefined ? {} : { signal }),
    tty,
    background,
  };
}
