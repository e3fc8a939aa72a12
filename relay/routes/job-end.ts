import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '@warmwind/shared/contract/errors';
import { isTerminal } from '@warmwind/shared/contract/jobs';
import { type AnyEnvelope, isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { MAX_WAIT_MS } from '@warmwind/shared/contract/tickets';
import { z } from 'zod';
import type { Http } from '../http/http.ts';
import { LIMITS } from '../limits.ts';
import { openRoom } from '../rooms/access.ts';
import { readJob } from '../rooms/job.ts';
import type { JobsContext } from './jobs-context.ts';

const WaitMs = z
  .string()
  .regex(/^\d{1,5}$/)
  .transform(Number)
  .pipe(z.number().max(MAX_WAIT_MS))
  .default(0);

/**
 * Serves `GET /jobs/:id/end?waitMs=`: 200 with the job once its latest run has ended, 204 after `waitMs`
 * without an end.
 */
export function jobEnd(http: Http, { recordSources, rooms, answers }: JobsContext): void {
  http.get('/jobs/:id/end', async (c) => {
    const id = c.req.param('id');
    const waitMs = WaitMs.safeParse(c.req.query('waitMs'));
    if (!waitMs.success) {
      throw new ApiError('bad_request', `Correct waitMs: milliseconds, at most ${MAX_WAIT_MS}.`, {
        issues: [{ path: 'waitMs', message: `0 to ${MAX_WAIT_MS}` }],
      });
    }
    const open = await openRoom(recordSources, c.var.ticket, `job:${id}`);
    const deadline = performance.now() + waitMs.data;
    const over = new AbortController();
    answers.hold(c, () => over.abort());
    c.env.outgoing.once('close', () => over.abort());

    const room = rooms.acquire(open);
    let wake = Promise.withResolvers<void>();
    const listener = ({ type }: AnyEnvelope) => {
      if (isTerminalEvent(type) || type === 'job.snapshot') wake.resolve();
      return false;
    };
    room.listeners.add(listener);
    try {
      for (;;) {
        // Replaced before the record is read, so that a wake-up during the read ends the next wait at once.
        wake = Promise.withResolvers();
        const job = await readJob(recordSources, open.owner, id).catch(() => undefined);
        if (job && isTerminal(job.state)) return c.json(job, 200, { 'Cache-Control': 'no-store' });
        const left = deadline - performance.now();
        if (left <= 0 || over.signal.aborted) return c.body(null, 204);
        const pause = sleep(Math.min(left, LIMITS.endCheckMs), undefined, over).catch(() => undefined);
        await Promise.race([wake.promise, pause]);
      }
    } finally {
      room.listeners.delete(listener);
      rooms.release(room);
    }
  });
}
