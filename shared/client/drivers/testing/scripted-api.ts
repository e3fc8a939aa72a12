import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One event of a streaming response. */
export type StreamedEvent = { event?: string; data: object };

/** The answer of one turn: a JSON body, or the events of a streaming response. */
export type Reply = { body: object } | { events: readonly StreamedEvent[] };

/** A vendor's API that follows a script. */
export type ScriptedApi = {
  url: string;
  /** The parsed bodies of the requests, in order. */
  requests: unknown[];
  stop: () => Promise<void>;
};

/** Answers a request by its parsed body and its path. */
export type Turn = (body: never, path: string) => Reply | Promise<Reply>;

/**
 * Serves a vendor's API on loopback by a script. A request without a turn, or whose turn throws, gets `400` with the
 * message, which the SDKs reject with.
 *
 * @param script answers the requests in order, or every request
 */
export async function startScriptedApi(script: readonly Turn[] | Turn): Promise<ScriptedApi> {
  const requests: unknown[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    const turn = typeof script === 'function' ? script : script[requests.length];
    requests.push(body);
    try {
      if (!turn) throw new Error(`The script has no turn for request ${requests.length}.`);
      const reply = await turn(body as never, request.url ?? '');
      if ('body' in reply) {
        response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(reply.body));
        return;
      }
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      for (const { event, data } of reply.events)
        response.write(`${event ? `event: ${event}\n` : ''}data: ${JSON.stringify(data)}\n\n`);
      response.end();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const failure = { type: 'error', error: { type: 'invalid_request_error', code: 400, message } };
      response.writeHead(400, { 'Content-Type': 'application/json' }).end(JSON.stringify(failure));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
