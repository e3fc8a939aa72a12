import { ApiError } from '@warmwind/shared/contract/errors';
import { isEventId } from '@warmwind/shared/contract/rooms';
import { subjectOf } from '../auth/ticket.ts';
import type { Http } from '../http/http.ts';
import { openRoom } from '../rooms/access.ts';
import { EventStream } from '../rooms/event-stream.ts';
import { endPosition, isLatestEnd, publishedEnd } from '../rooms/job.ts';
import { Subscription } from '../rooms/subscription.ts';
import type { JobsContext } from './jobs-context.ts';

const NOT_STORED = { 'Cache-Control': 'no-store' };
const HEADERS = {
  ...NOT_STORED,
  'Content-Type': 'text/event-stream; charset=utf-8',
  // The connection is not reused after a stream, and would delay a server that closes.
  Connection: 'close',
};

/**
 * Serves `GET /jobs/:id/events`: the job's log after `Last-Event-ID`, then live events, until the latest run
 * has ended. A client that has received that end gets 204, which stops an `EventSource` from reconnecting.
 */
export function jobEvents(
  http: Http,
  { recordSources, rooms, room, answers, outgoing: outgoingBytes }: JobsContext,
): void {
  http.get('/jobs/:id/events', async (c) => {
    const id = c.req.param('id');
    const after = lastEventId(c.req.header('Last-Event-ID'));
    const open = await openRoom(recordSources, c.var.ticket, `job:${id}`);
    if (c.req.method === 'HEAD') return c.body(null, 200, HEADERS);

    const { owner } = open;
    const { outgoing } = c.env;
    // Looked up before the log is read, so that the read includes an end that is already published.
    const finished =
      after === undefined ? undefined : await publishedEnd(recordSources, room.realtime, owner, id);
    if (finished && after === endPosition(finished.job)) return c.body(null, 204, NOT_STORED);
    answers.hold(c, () => stream.close());
    const stream = new EventStream(
      outgoing,
      (run) => isLatestEnd(recordSources, owner, id, run),
      room.metrics,
      {
        held: outgoingBytes,
        subject: subjectOf(c.var.ticket),
      },
    );
    const invalid = (err: unknown) => {
      room.log.warn({ room: `job:${id}`, requestId: c.get('requestId'), err }, 'a stream was broken off');
      stream.interrupt();
    };
    const subscription = new Subscription(stream, open, rooms, room, invalid);
    outgoing.once('close', () => subscription.end());
    await subscription.open(after);
    if (finished?.published && subscription.isCaughtUp()) {
      stream.close();
      return c.body(null, 204, NOT_STORED);
    }
    subscription
      .run()
      .then(async () => {
        if (!finished?.published) return;
        await subscription.caughtUp();
        stream.close();
      })
      .catch(invalid);
    return c.body(stream.body, 200, HEADERS);
  });
}

function lastEventId(header: string | undefined): string | undefined {
  if (header === undefined || header === '') return undefined;
  if (isEventId(header)) return header;
  throw new ApiError('bad_request', 'Correct Last-Event-ID: use the id of an event that you have received.', {
    issues: [{ path: 'Last-Event-ID', message: 'not the id of an event' }],
  });
}
