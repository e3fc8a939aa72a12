import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Cloud = { url: string; stop: () => void };

/** The parameters of an account that `sst` has used before: its buckets and its passphrase. */
const PARAMETERS: Record<string, string> = {
  '/sst/bootstrap': JSON.stringify({
    version: 99,
    asset: 'asset-bucket',
    assetEcrRegistryId: '123456789012',
    assetEcrUrl: '123456789012.dkr.ecr.us-east-1.amazonaws.com/sst-asset',
    state: 'state-bucket',
    appsyncHttp: 'http.test',
    appsyncRealtime: 'realtime.test',
  }),
};
const PASSPHRASE = Buffer.alloc(32, 1).toString('base64');

/**
 * Replaces AWS for the requests that the CLI itself makes before it starts the engine: parameters, and an
 * empty bucket. Everything else is refused.
 */
export async function startCloud(): Promise<Cloud> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = (request.url ?? '').split('?')[0] ?? '';
    const target = request.headers['x-amz-target'];
    if (target === 'AmazonSSM.GetParameter') {
      const { Name = '' } = JSON.parse(Buffer.concat(chunks).toString()) as { Name?: string };
      const Value = PARAMETERS[Name] ?? PASSPHRASE;
      response.setHeader('Content-Type', 'application/x-amz-json-1.1');
      response.end(JSON.stringify({ Parameter: { Name, Value } }));
    } else if (request.method === 'GET' && /^\/state-bucket\/app\/.*\.json$/.test(path)) {
      response.end(JSON.stringify({ version: 3, checkpoint: { latest: { resources: [] } } }));
    } else if (target === undefined && request.method === 'GET') {
      response.writeHead(404, { 'Content-Type': 'application/xml' });
      response.end('<Error><Code>NoSuchKey</Code><Message>nothing here</Message></Error>');
    } else if (target === undefined && request.method === 'PUT') {
      response.end();
    } else {
      response.writeHead(400, { 'Content-Type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify({ __type: 'NotImplemented' }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
