import { randomUUID } from 'node:crypto';
import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import { io, type Socket } from 'socket.io-client';
import { createStack, type TestStack } from '../e2e/stack.ts';
import { waitFor } from '../testing/wait.ts';

/** The kinds of things that belong to a user and are named in requests. */
export type Thing = 'container' | 'job' | 'link' | 'viewer' | 'session' | 'terminal' | 'process' | 'webhook';
export type Ids = Record<Thing, string>;

/** One user: the client of the edge, a socket at the relay with control, and what the user owns. */
export type Tenant = { token: string; ticket: string; edge: EdgeClient; socket: Socket; ids: Ids };

/** Two users of one stack, each with a desktop that runs and one of every other thing. */
export type Tenants = { stack: TestStack; owner: Tenant; stranger: Tenant; stop: () => Promise<void> };

/** A file in the home of each desktop. */
export const FILE = 'figures.txt';

/** The name of the owner's desktop, which is on its clipboard and in a file too: a text that a stranger must never receive. */
export const SECRET = 'Quarterly-figures-7f3a';

export async function startTenants(): Promise<Tenants> {
  const stack = createStack({
    RATE_LIMITS:
      '{"user": [], "webhooks": [], "ip": [], "containers.start": [], "containers.actions": [], "containers.files": [], "admin": []}',
    MODEL_SERVER: 'off',
    WEBHOOK_ALLOW: '127.0.0.1/32',
  });
  try {
    await stack.start();
    const { tokens } = stack.file();
    const [owner, stranger] = await Promise.all([
      startTenant(stack, tokens.user, SECRET),
      startTenant(stack, tokens.other, 'Other'),
    ]);
    const stop = async () => {
      for (const { socket } of [owner, stranger]) socket.disconnect();
      await stack.remove();
    };
    return { stack, owner, stranger, stop };
  } catch (error) {
    await stack.remove();
    throw error;
  }
}

async function startTenant(stack: TestStack, token: string, name: string): Promise<Tenant> {
  const { edge: url, relay } = stack.file();
  const edge = createEdgeClient({ url, token });
  const { containerId, jobId } = await edge.startContainer({ name });
  await waitFor(
    'the desktop',
    async () => (await edge.getContainer(containerId)).state === 'running',
    60_000,
  );
  const link = await edge.createTicket({ containerId, mode: 'view' });
  const { token: ticket } = await edge.createTicket({ mode: 'control' });
  const socket = io(relay, { transports: ['websocket'], auth: { token: ticket }, forceNew: true });
  const ask = (event: string, argument: object) => socket.timeout(10_000).emitWithAck(event, argument);
  const { viewerId } = await ask('vnc:watch', { containerId });
  const { sessionId } = await ask('session:open', { kind: 'container.vnc', containerId, input: {} });
  const { ttyId } = await ask('tty:open', { containerId, cols: 80, rows: 24 });
  const { jobId: processId } = await edge.exec(
    { containerId, cmd: ['sleep', '3600'], background: true },
    { waitMs: 10_000 },
  );
  await edge.writeClipboard({ containerId, text: name });
  await edge.exec({ containerId, cmd: ['sh', '-c', `printf ${name} > ${FILE}`] }, { waitMs: 10_000 });
  // Its receiver does not exist: the test fails at once.
  const { id: webhook } = await edge.testWebhook({ url: 'http://127.0.0.1:9/' });
  await waitFor(
    'its webhook',
    async () => (await edge.getWebhookDelivery(webhook)).state === 'failed',
    30_000,
  );
  const ids = {
    container: containerId,
    job: jobId,
    link: link.id,
    viewer: viewerId,
    session: sessionId,
    terminal: ttyId,
    process: processId,
    webhook,
  };
  return { token, ticket, edge, socket, ids };
}

/** Ids that no user has, in the form of each thing. */
export function randomId(thing: Thing): string {
  if (thing === 'session' || thing === 'terminal') return `${randomUUID()}.${randomUUID()}`;
  return thing === 'webhook' ? `${randomUUID()}.1.end` : randomUUID();
}

/** Texts that are no id of anything. */
export const MALFORMED = ['x'.repeat(65), '{user}:jobs', 'a\0b', "' or 1=1 --", '../../etc/passwd', '%2e%2e'];
