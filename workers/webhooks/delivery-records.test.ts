import { deliveryFromRecord, type WebhookDelivery } from '@warmwind/shared/contract/webhook-deliveries';
import { keys } from '@warmwind/shared/engine/keys';
import type { JobRef } from '@warmwind/shared/engine/node/records';
import {
  beginDelivery,
  cancelDelivery,
  recordTest,
  restartDelivery,
} from '@warmwind/shared/engine/scripts/webhook.lua';
import {
  WEBHOOK_DATA_VERSION,
  WebhookData,
  webhookId,
  webhookOptions,
} from '@warmwind/shared/engine/webhooks';
import { parseJson } from '@warmwind/shared/runtime/json';
import { runScript } from '@warmwind/shared/runtime/node/script';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createHooks, type Hooks } from '../testing/hooks.ts';
import { type Answer, type Receiver, startReceiver, status } from '../testing/receiver.ts';

let hooks: Hooks;
const receivers: Receiver[] = [];
beforeAll(async () => {
  hooks = await createHooks();
});
afterEach(async () => {
  await hooks.rest();
  await Promise.all(receivers.splice(0).map((receiver) => receiver.stop()));
  await hooks.queue.obliterate({ force: true });
});
afterAll(() => hooks?.stop());

const receive = async (answer?: Answer): Promise<Receiver> => {
  const receiver = await startReceiver(answer);
  receivers.push(receiver);
  return receiver;
};
const redis = () => hooks.redis.client;
const record = (userId: string, id: string) => redis().hgetall(keys.webhookDelivery(userId, id));
const read = async (userId: string, id: string): Promise<WebhookDelivery | undefined> =>
  deliveryFromRecord(await record(userId, id));
const inState = (userId: string, id: string, state: string) =>
  waitFor(`${id} to be ${state}`, async () => {
    const delivery = await read(userId, id);
    return delivery?.state === state ? delivery : undefined;
  });
const ended = async (url: string, userId?: string): Promise<JobRef & { id: string }> => {
  const ref = await hooks.job(url, userId);
  await hooks.run(hooks.records, ref, { state: 'completed', result: 7 });
  return { ...ref, id: `${ref.jobId}.1.end` };
};
/** Sends an ended webhook again, as the edge does. */
async function resend(userId: string, id: string): Promise<void> {
  const { data = '', resends = '0' } = await record(userId, id);
  const again = { ...parseJson(WebhookData, data), resends: Number(resends) + 1 };
  await hooks.queue.add(again.about, again, webhookOptions(again));
  await runScript(redis(), restartDelivery, { userId, id }, { id, resends: Number(resends) });
}

test('a delivery is recorded while it is pending and when it is delivered, with the host of its address alone', async () => {
  let open = false;
  const receiver = await receive((response, ...rest) => status(open ? 204 : 503)(response, ...rest));
  hooks.deliver({ firstPauseMs: 200 });
  const { userId, jobId, id } = await ended(`${receiver.url}/secret-path?secret-query`);
  await waitFor('a failed try', async () => ((await read(userId, id))?.attempts ?? 0) > 0);
  const pending = await inState(userId, id, 'pending');
  expect(pending).toMatchObject({ id, jobId, about: 'end', status: 503, resends: 0 });
  expect(pending).toMatchObject({ host: `127.0.0.1:${receiver.port}`, nextAttemptAt: expect.any(String) });
  open = true;
  const delivered = await inState(userId, id, 'delivered');
  expect(delivered).toMatchObject({ status: 204, endedAt: expect.any(String), createdAt: pending.createdAt });
  expect(delivered).not.toHaveProperty('nextAttemptAt');
  expect(delivered.attempts).toBe(receiver.ids().filter((one) => one === id).length);
  expect(JSON.stringify(await record(userId, id))).not.toContain('secret');
  expect((await redis().zrange(keys.webhookDeliveries(userId), 0, '-1')).sort()).toEqual([
    `${jobId}.1.active`,
    id,
  ]);
  expect(await redis().pttl(keys.webhookDelivery(userId, id))).toBeLessThanOrEqual(86_400_000);
});

test.each<[string, Answer | undefined, object]>([
  ['410', status(410), { status: 410, reason: 'gone', attempts: 1 }],
  ['500 for too long', status(500), { status: 500 }],
  ['nothing in time', () => {}, { reason: 'timeout' }],
])('a receiver that answers %s is recorded with that', async (_name, answer, expected) => {
  const { url } = await receive(answer);
  hooks.deliver({ giveUpMs: 0, answerWithinMs: 100 });
  const { userId, id } = await ended(url);
  const failed = await inState(userId, id, 'failed');
  expect(failed).toMatchObject(expected);
});

test('an address that is refused, and a job without one, are recorded without a try', async () => {
  hooks.deliver({ allow: [] });
  const refused = await ended('http://127.0.0.1:9/');
  const delivery = await inState(refused.userId, refused.id, 'failed');
  expect(delivery).toMatchObject({ reason: 'address_refused', attempts: 0, host: '127.0.0.1:9' });
  await hooks.rest();
  const forgotten = await ended('http://127.0.0.1:9/');
  await redis().del(keys.job(forgotten.userId, forgotten.jobId));
  hooks.deliver();
  expect(await inState(forgotten.userId, forgotten.id, 'failed')).toMatchObject({
    reason: 'forgotten',
    attempts: 0,
  });
});

test('an alert to operators is not among the webhooks of the owner of its job', async () => {
  const { url, received } = await receive();
  hooks.deliver({ alertUrl: url });
  const ref = await hooks.job('');
  const error = { code: 'internal', message: 'It failed.', retryable: true };
  await hooks.run(hooks.alerting, ref, { state: 'failed', error });
  await waitFor('the alert', () => received.length === 1);
  expect(await redis().keys(`*${ref.jobId}*alert*`)).toHaveLength(1); // BullMQ's own
  expect(await redis().exists(keys.webhookDeliveries(ref.userId))).toBe(0);
});

test('a cancelled delivery is not sent, and is sent when its owner sends it again', async () => {
  const { url, ids } = await receive(status(503));
  hooks.deliver({ firstPauseMs: 300 });
  const { userId, id } = await ended(url);
  await waitFor('a try', () => ids().includes(id));
  await waitFor('its outcome', async () => ((await read(userId, id))?.attempts ?? 0) > 0);
  expect(await runScript(redis(), cancelDelivery, { userId, id }, {})).toBe('pending');
  const tries = (await read(userId, id))?.attempts;
  await waitFor(
    'it to leave the queue',
    async () => (await (await hooks.queue.getJob(id))?.isFailed()) === true,
  );
  expect(await read(userId, id)).toMatchObject({
    state: 'cancelled',
    attempts: tries,
    endedAt: expect.any(String),
  });
  await resend(userId, id);
  await waitFor('another try', async () => ((await read(userId, id))?.attempts ?? 0) > Number(tries));
  expect(await read(userId, id)).toMatchObject({ state: 'pending', resends: 1 });
});

test('a delivery that is sent again has the same id and content, and its record does not depend on who is first', async () => {
  const { url, received } = await receive();
  const delivery = hooks.deliver();
  const { userId, id } = await ended(url);
  await inState(userId, id, 'delivered');
  await resend(userId, id);
  const sent = () => received.filter(({ headers }) => headers['webhook-id'] === id);
  await waitFor('it again', () => sent().length === 2);
  expect(new Set(sent().map(({ text }) => text)).size).toBe(1);
  await inState(userId, id, 'delivered');
  // A request that ended after it had queued the delivery: the worker records that it was sent again.
  const again = { ...parseJson(WebhookData, (await record(userId, id)).data ?? ''), resends: 2 };
  await hooks.queue.add('end', again, webhookOptions(again));
  await waitFor('it once more', () => sent().length === 3);
  await waitFor('the record', async () => (await read(userId, id))?.resends === 2);
  expect(await inState(userId, id, 'delivered')).toMatchObject({ attempts: 3, resends: 2 });
  expect(await runScript(redis(), restartDelivery, { userId, id }, { id, resends: 1 })).toBe(0);
  // An entry of the queue that is behind the record is dropped.
  await delivery.close();
  const old = { ...again, resends: 1, at: 0 };
  await hooks.queue.add('end', old, { ...webhookOptions(old), jobId: 'old' });
  hooks.deliver();
  await waitFor(
    'it to be dropped',
    async () => (await (await hooks.queue.getJob('old'))?.isFailed()) === true,
  );
  expect(sent()).toHaveLength(3);
});

test('a delivery whose worker died after it was delivered is not sent once more', async () => {
  const { url, ids } = await receive();
  const first = hooks.deliver();
  const { userId, id } = await ended(url);
  await inState(userId, id, 'delivered');
  await first.close();
  const { data = '' } = await record(userId, id);
  await (await hooks.queue.getJob(id))?.remove();
  await hooks.queue.add('end', parseJson(WebhookData, data), { jobId: id });
  hooks.deliver();
  await waitFor(
    'the queue to be empty',
    async () => (await (await hooks.queue.getJob(id))?.isCompleted()) === true,
  );
  expect(ids().filter((one) => one === id)).toHaveLength(1);
});

test('a test is sent once, to the addresses that are permitted alone', async () => {
  const { url, received } = await receive(status(500));
  hooks.deliver({ allow: ['127.0.0.1/32'] });
  const send = async (to: string) => {
    const data = {
      version: WEBHOOK_DATA_VERSION,
      about: 'test',
      userId: 'ada',
      testId: to.length.toString(),
      at: 1000,
    } as const;
    const id = webhookId(data);
    const args = { id, url: to, host: new URL(to).host, data: JSON.stringify(data) };
    await runScript(redis(), recordTest, { userId: 'ada', id }, args);
    await hooks.queue.add('test', data, webhookOptions(data));
    return id;
  };
  const id = await send(`${url}/hook`);
  expect(await inState('ada', id, 'failed')).toMatchObject({ about: 'test', status: 500, attempts: 1 });
  expect(received).toMatchObject([{ path: '/hook', event: { type: 'webhook.test', id } }]);
  const refused = await send('http://10.0.0.1/a-private-address');
  expect(await inState('ada', refused, 'failed')).toMatchObject({ reason: 'address_refused', attempts: 0 });
});

test('a user has a bounded number of deliveries in the list', async () => {
  const args = { id: 'j.1.end', jobId: 'j', about: 'end', data: '{}', createdAt: Date.now(), resends: 0 };
  const index = keys.webhookDeliveries('bob');
  const old = Array.from({ length: 10_000 }, (_, i) => [Date.now() - 60_000 + i, `o${i}`]).flat();
  await redis().zadd(index, ...old, Date.now() - 8 * 86_400_000, 'too-old');
  await runScript(redis(), beginDelivery, { userId: 'bob', id: args.id }, args);
  expect(await redis().zcard(index)).toBe(10_000);
  expect(await redis().zscore(index, args.id)).not.toBeNull();
  expect(await redis().zscore(index, 'too-old')).toBeNull();
});
