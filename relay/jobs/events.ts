import { ApiError } from '@warmwind/shared/errors';
import { isEventId } from '@warmwind/shared/events';
import type { Http } from '../http/http.ts';
import { openRoom } from '../rooms/access.ts';
import { Subscription } from '../rooms/subscription.ts';
import type { JobsContext } from './context.ts';
import { isLatestEnd, isToldEnd } from './job.ts';
import { EventStream } from './stream.ts';

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-store',
  // Of no use after a stream, and in the way of a server that closes.
  Connection: 'close',
};

/** `GET /jobs/:id/events`: the job's log after `Last-Event-ID`, then live, until the latest run has ended. */
export function jobEvents(http: Http, { known, rooms, room, answers }: JobsContext): void {
  http.get('/jobs/:id/events', async (c) => {
    const id = c.req.param('id');
    const after = lastEventId(c.req.header('Last-Event-ID'));
    const open = await openRoom(known, c.var.ticket, `job:${id}`);
    if (c.req.method === 'HEAD') return c.body(null, 200, HEADERS);

    const { owner } = open;
    const { outgoing } = c.env;
    answers.hold(c, () => stream.close());
    const stream = new EventStream(outgoing, (run) => isLatestEnd(known, owner, id, run), room.metrics);
    const subscription = new Subscription(stream, open, rooms, room);
    outgoing.once('close', () => subscription.end());
    await subscription.open(after);
    // Who has seen all there was when it came back is told nothing more: then the stream ends as well.
    const told = after !== undefined && (await isToldEnd(known, room.realtime, owner, id));
    subscription
      .run()
      .then(async () => {
        if (!told) return;
        await subscription.caughtUp();
        stream.close();
      })
      .catch((err: unknown) => {
        room.log.warn({ room: `job:${id}`, requestId: c.get('requestId'), err }, 'a stream was broken off');
        stream.cut();
      });
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
