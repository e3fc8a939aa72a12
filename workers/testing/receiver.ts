import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebhookEvent } from '@warmwind/shared/contract/webhook-events';
import { parseJson } from '@warmwind/shared/runtime/json';

type Received = { path: string; headers: IncomingHttpHeaders; text: string; event: WebhookEvent };
/** Answers the n-th request of a receiver, counted from 1. A function that does nothing never answers. */
export type Answer = (response: ServerResponse, n: number, received: Received) => void;

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(code, headers).end();

/** Starts a real HTTP server on loopback that records its requests. */
export async function startReceiver(answer: Answer = status(204), host = '127.0.0.1') {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const { url: path = '', headers } = request;
      const one = { path, headers, text, event: parseJson(WebhookEvent, text) };
      received.push(one);
      answer(response, received.length, one);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    received,
    ids: () => received.map(({ headers }) => String(headers['webhook-id'])),
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
export type Receiver = Awaited<ReturnType<typeof startReceiver>>;
