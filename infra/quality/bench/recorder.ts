import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One REST call of the edge. */
export type Trip = { path: string; body: string };

/** Starts a proxy between the edge and the gateway that records each call. */
export async function startRecorder(
  target: string,
): Promise<{ url: string; trips: Trip[]; stop: () => void }> {
  const trips: Trip[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    trips.push({ path: request.url === '/' ? '' : (request.url ?? ''), body });
    const answer = await fetch(target + request.url, {
      method: 'POST',
      headers: { authorization: request.headers.authorization ?? '', 'content-type': 'application/json' },
      body,
    });
    response.writeHead(answer.status, { 'content-type': 'application/json' });
    response.end(await answer.text());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, trips, stop: () => server.close() };
}
