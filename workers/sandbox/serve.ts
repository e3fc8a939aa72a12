import { setPriority } from 'node:os';
import { truncateText } from '@warmwind/shared/runtime/text';
import { JobFailureError } from '../runtime/failures.ts';
import type { ChildMessage } from './protocol.ts';

/** How much less urgent than its worker a fork is, as `nice` counts. */
const NICE = 10;

/** Does one job; says how far it is, 0-100. What it throws is told by `runtime/failures.ts` if it is a `JobFailure`. */
export type Work = (input: unknown, progress: (percent: number) => void) => Promise<unknown>;

/**
 * The face of a program that runs in a fork: gets ready once, then does the jobs that its worker sends, one at a time. It
 * ends with its worker.
 */
export function serve(prepare: () => Promise<Work>): void {
  const send = (message: ChildMessage) => process.send?.(message);
  process.on('disconnect', () => process.exit());
  setPriority(NICE);
  const ready = prepare();
  process.on('message', async ({ input }: { input: unknown }) => {
    try {
      const work = await ready;
      send({ type: 'result', result: await work(input, (percent) => send({ type: 'progress', percent })) });
    } catch (error) {
      const code = error instanceof JobFailureError ? { code: error.code } : {};
      send({ type: 'failure', ...code, message: truncateText(String(error), 500) });
    }
  });
  ready.then(() => send({ type: 'ready' }));
}
