import { setPriority } from 'node:os';
import { truncateText } from '@warmwind/shared/runtime/text';
import { JobFailureError } from '../runtime/failures.ts';
import type { ChildMessage } from './protocol.ts';

/** The `nice` value of a fork, above that of its worker. */
const NICE = 10;

/** Runs one job. `progress` takes percents. Of a thrown `JobFailureError` the code reaches the worker. */
export type Work = (input: unknown, progress: (percent: number) => void) => Promise<unknown>;

/**
 * Runs the main loop of a program in a fork: prepares once, then runs the jobs that its worker sends, one at
 * a time. It exits when its worker disconnects.
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
