import { isEnvelope } from '@warmwind/shared/contract/events';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import { jobEventsPath } from '@warmwind/shared/contract/tickets';

/** A client of a job's event stream, which does not reconnect. */
export type TestStream = {
  response: Response;
  events: Envelope[];
  /** Whether the server has ended the stream or broken it off. */
  over: () => 'ended' | 'cut' | undefined;
  lastId: () => string | undefined;
  close: () => void;
};

export async function openStream(
  url: string,
  token: string,
  job: string,
  lastEventId?: string,
): Promise<TestStream> {
  const controller = new AbortController();
  const response = await fetch(`${url}${jobEventsPath(job)}`, {
    headers: {
      Authorization: `Bearer ${token}`,
      ...(lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId }),
    },
    signal: controller.signal,
  });
  const events: Envelope[] = [];
  let over: 'ended' | 'cut' | undefined;
  if (response.ok && response.body) {
    const read = async (body: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      let text = '';
      for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
        const blocks = (text + chunk).split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) if (!block.startsWith(':')) events.push(parse(block));
      }
    };
    read(response.body).then(
      () => {
        over = 'ended';
      },
      () => {
        over = 'cut';
      },
    );
  }
  return {
    response,
    events,
    over: () => over,
    lastId: () => events.at(-1)?.id ?? lastEventId,
    close: () => controller.abort(),
  };
}

/** Parses an event. @throws Error when `id:` or `event:` differ from `data:` */
function parse(block: string): Envelope {
  const fields = Object.fromEntries(
    block.split('\n').map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
  );
  const event: unknown = JSON.parse(fields.data ?? '');
  if (!isEnvelope(event)) throw new Error(`not an event: ${block}`);
  if (fields.id !== event.id || fields.event !== event.type) throw new Error(`fields differ: ${block}`);
  return event;
}
