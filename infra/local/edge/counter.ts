import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** A proxy of the gateway that counts the trips to it. `take` returns the count and resets it. */
export async function startCounter(
  target: string,
): Promise<{ url: string; take: () => number; stop: () => Promise<void> }> {
  let trips = 0;
  const server: Server = createServer(async (request, response) => {
    trips += 1;
    try {
      const { authorization = '' } = request.headers;
      const answer = await fetch(target + (request.url ?? ''), {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: await text(request),
      });
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(await answer.text());
    } catch {
      response.destroy();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    take: () => {
      const seen = trips;
      trips = 0;
      return seen;
    },
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
