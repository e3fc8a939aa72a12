import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebhookEvent } from '@warmwind/shared/contract/webhook-events';
import { OPERATORS, webhookSecret } from '@warmwind/shared/contract/webhook-target';
import { Webhook } from 'standardwebhooks';
import { WEBHOOK_SECRET } from '../../local/edge/testing.ts';
import { Random } from './random.ts';

/** The share of requests that fail: it records the webhook, then answers 503 or closes the connection. */
const FAILS = 0.03;

/** The deliveries under one `Webhook-Id`. */
type Delivered = {
  user: string;
  event: WebhookEvent;
  texts: Set<string>;
  times: number;
  verified: boolean;
};

/** A server for webhooks: `/user/<id>` for users, `/alerts` for operators. */
export type Receiver = {
  url: string;
  delivered: Map<string, Delivered>;
  stop: () => Promise<void>;
};

/** Starts a real server on loopback, which records each webhook and fails now and then. */
export async function startReceiver(seed: number): Promise<Receiver> {
  const random = new Random(seed);
  const delivered = new Map<string, Delivered>();
  const secrets = new Map<string, Promise<string>>();
  const secretOf = (user: string) => {
    const known = secrets.get(user) ?? webhookSecret(WEBHOOK_SECRET, user);
    secrets.set(user, known);
    return known;
  };

  const receive = async (
    path: string,
    headers: Record<string, string>,
    text: string,
    response: ServerResponse,
  ) => {
    const user = path === '/alerts' ? OPERATORS : path.slice('/user/'.length);
    const verifier = new Webhook(await secretOf(user));
    let verified = true;
    try {
      verifier.verify(text, headers);
    } catch {
      verified = false;
    }
    const id = headers['webhook-id'] ?? '';
    const known = delivered.get(id);
    const event = JSON.parse(text) as WebhookEvent;
    const one = known ?? { user, event, texts: new Set(), times: 0, verified };
    one.texts.add(text);
    one.times += 1;
    one.verified &&= verified && one.user === user;
    delivered.set(id, one);
    if (!random.chance(FAILS)) response.writeHead(204).end();
    else if (random.chance(0.5)) response.writeHead(503).end();
    else response.destroy();
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const headers = request.headers as Record<string, string>;
      receive(request.url ?? '', headers, Buffer.concat(chunks).toString(), response).catch(() =>
        response.destroy(),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    delivered,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
