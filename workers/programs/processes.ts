import { ApiError } from '@warmwind/shared/contract/errors';
import type { DesktopProcess } from '@warmwind/shared/contract/programs';
import { iso } from '@warmwind/shared/runtime/times';
import type { CallHandlers } from '../calls/call.ts';
import { asApiError } from '../supervisor/api-error.ts';
import type { SupervisedProcess } from '../supervisor/process.ts';
import type { Supervisors } from '../supervisor/supervisors.ts';
import { endProcess } from './program.ts';

/** Creates the handler of `container.processes`. */
export const createProcesses =
  (supervisors: Supervisors): CallHandlers['container.processes'] =>
  async ({ containerId, signal }) => {
    const list = async () => supervisors.of(containerId).list({ signal });
    return { items: (await list().catch(asApiError)).map(publicProcess) };
  };

/** Creates the handler of `container.end-process`. */
export const createEndProcess =
  (supervisors: Supervisors): CallHandlers['container.end-process'] =>
  async ({ containerId, input: { processId } }) => {
    const end = async () => endProcess(supervisors.of(containerId), processId);
    if (!(await end().catch(asApiError)))
      throw new ApiError('not_found', 'The desktop has no such process: list its processes.');
    return { processId };
  };

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
