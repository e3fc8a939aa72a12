import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Receiver, startReceiver } from '../../../workers/testing/receiver.ts';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { createStack, type TestStack } from './stack.ts';

let stack: TestStack;
let receiver: Receiver;
let edge: EdgeClient;
let admin: EdgeClient;

beforeAll(async () => {
  await startEngine();
  receiver = await startReceiver();
  stack = createStack({
    MODEL_SERVER: 'off',
    WEBHOOK_ALLOW: '127.0.0.1/32',
    RATE_LIMITS: '{"user": [], "containers.start": [], "webhooks": []}',
  });
  await stack.start();
  const { edge: url, tokens } = stack.file();
  edge = createEdgeClient({ url, token: tokens.user });
  admin = createEdgeClient({ url, token: tokens.admin });
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  await stack?.remove();
  await receiver?.stop();
}, 90_000);

test('a start waits while all hosts drain, and runs once a drain is ended; its webhooks are listed and sent again', async () => {
  const { items: hosts } = await admin.listHosts();
  for (const { id } of hosts) expect((await admin.drainHost(id)).state).toBe('draining');
  const labels = { team: 'design' };
  const { jobId, containerId } = await edge.startContainer({
    labels,
    webhookUrl: `${receiver.url}/hook?key=1`,
  });
  await waitFor('it to wait', async () => (await edge.getJob(jobId)).waiting?.reason === 'draining', 30_000);
  for (const { id } of hosts) await admin.undrainHost(id);
  const isRunning = async () => (await edge.getContainer(containerId)).state === 'running';
  await waitFor('it to run', isRunning, 60_000);
  expect((await edge.listContainers({ label: ['team:design'] })).items).toMatchObject([
    { id: containerId, labels },
  ]);

  const end = `${jobId}.1.end`;
  const delivered = async (id: string) => (await edge.getWebhookDelivery(id)).state === 'delivered';
  await waitFor('its webhook', () => delivered(end), 30_000);
  await edge.resendWebhook(end);
  const sent = () => receiver.received.filter(({ event }) => event.id === end);
  await waitFor('it again', () => sent().length === 2, 30_000);
  expect(new Set(sent().map(({ text }) => text)).size).toBe(1);
  expect(sent()[0]?.event.data).toMatchObject({ labels });
  const { items } = await edge.listWebhookDeliveries({ jobId });
  expect(items.map(({ about }) => about).toSorted()).toEqual(['active', 'end']);
  expect(JSON.stringify(items)).not.toContain('key=1');
  const { id } = await edge.testWebhook({ url: receiver.url });
  await waitFor('the test', () => delivered(id), 30_000);
}, 180_000);

test('a limit of one user holds for the next start, and not for another user', async () => {
  const { edge: url, tokens } = stack.file();
  const { userId } = await admin.setUserLimits('user-1', { desktops: 0 });
  await expect(edge.startContainer({})).rejects.toMatchObject({ code: 'quota_exceeded' });
  expect((await edge.getLimits()).quotas).toMatchObject([{}, { name: 'desktops', limit: 0 }]);
  const other = createEdgeClient({ url, token: tokens.other });
  await other.startContainer({});
  await admin.removeUserLimits(userId);
  await edge.startContainer({});
  await expect(edge.listHosts()).rejects.toMatchObject({ code: 'admin_required' });
}, 60_000);
