import { isTerminal } from '@warmwind/shared/contract/jobs';
import type { ContainerRef } from '@warmwind/shared/engine/node/records';
import type { DesktopHost } from '../containers/host.ts';
import type { SupervisedProcess } from '../supervisor/process.ts';
import { runOfProcess } from './process-id.ts';
import { endProcess } from './program.ts';

/**
 * Ends the programs of a desktop whose runs are over: a run may have been cancelled while no worker followed it.
 * A program in the background outlives the run that started it. Any other that runs counts as a use of its desktop.
 */
export async function endOrphans(
  { supervisors, records, screens, log }: Pick<DesktopHost, 'supervisors' | 'records' | 'screens' | 'log'>,
  { userId, containerId }: ContainerRef,
): Promise<void> {
  const supervisor = supervisors.of(containerId);
  const isOrphan = async ({ id, tty, background }: SupervisedProcess): Promise<boolean> => {
    const of = tty ? undefined : runOfProcess(id);
    const job = of && (await records.jobs.status(userId, of.jobId));
    if (!of || !job || job.run < of.run) return false;
    if (job.run > of.run) return !background;
    return isTerminal(job.state) && !(background && job.state === 'completed');
  };
  for (const process of await supervisor.list()) {
    if (!(await isOrphan(process))) {
      // After a restart of the worker its job may not have been delivered again yet.
      if (process.state === 'running' && !process.tty && !process.background) screens.use(containerId);
      continue;
    }
    await endProcess(supervisor, process.id);
    await supervisor.end(process.id, { forget: true });
    log.info({ containerId, processId: process.id }, 'swept: program ended, its run is over');
  }
}
