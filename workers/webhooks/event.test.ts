import { TERMINAL_JOB_STATES } from '@warmwind/shared/contract/jobs';
import { WebhookEvent } from '@warmwind/shared/contract/webhook-events';
import { type RunWebhook, WEBHOOK_DATA_VERSION } from '@warmwind/shared/engine/webhooks';
import { expect, test } from 'vitest';
import { webhookEvent } from './event.ts';

const data: RunWebhook = {
  version: WEBHOOK_DATA_VERSION,
  about: 'end',
  userId: 'ada',
  jobId: 'j1',
  run: 2,
  kind: 'inference',
  containerId: '',
  state: 'completed',
  at: 1000,
  attemptsMade: 1,
};
const error = { code: 'model_missing', message: 'No host serves it.', retryable: false };
const ended = { jobId: 'j1', kind: 'inference', run: 2, attemptsMade: 1 };

test('each notice is an event of the contract, with the data of its type', () => {
  const failed = TERMINAL_JOB_STATES.filter((state) => state !== 'completed');
  const cases: [RunWebhook, string | undefined, string, object][] = [
    [
      { ...data, about: 'active', state: 'active', containerId: 'c1' },
      undefined,
      'job.active',
      { jobId: 'j1', kind: 'inference', run: 2, containerId: 'c1', state: 'active', attempt: 2 },
    ],
    [data, '{"text":"yes"}', 'job.completed', { ...ended, state: 'completed', result: { text: 'yes' } }],
    [data, undefined, 'job.completed', { ...ended, state: 'completed' }],
    [
      data,
      JSON.stringify('x'.repeat(70_000)),
      'job.completed',
      { ...ended, state: 'completed', truncated: true },
    ],
    ...failed.map((state): (typeof cases)[number] => [
      { ...data, state, error },
      undefined,
      `job.${state}`,
      { ...ended, state, error },
    ]),
    [
      { ...data, about: 'alert', state: 'failed', error },
      undefined,
      'alert.job_failed',
      { ...ended, state: 'failed', userId: 'ada', error },
    ],
  ];
  for (const [given, result, type, expected] of cases) {
    const event = webhookEvent(given, { result, labels: undefined });
    expect(event).toEqual({ id: `j1.2.${given.about}`, time: expect.any(String), type, data: expected });
    expect(WebhookEvent.parse(event)).toEqual(event);
  }
});

test('a webhook of a job has its labels, an alert has none', () => {
  const source = { result: undefined, labels: '{"team":"design"}' };
  const event = webhookEvent(data, source);
  expect(event).toMatchObject({ type: 'job.completed', data: { labels: { team: 'design' } } });
  expect(WebhookEvent.parse(event)).toEqual(event);
  const alert = webhookEvent({ ...data, about: 'alert', state: 'failed', error }, source);
  expect(alert.data).not.toHaveProperty('labels');
});

test('a test is an event of the contract', () => {
  const of = { version: WEBHOOK_DATA_VERSION, about: 'test', userId: 'ada', testId: 't1', at: 1000 } as const;
  const event = webhookEvent(of, { result: undefined, labels: undefined });
  expect(event).toEqual({
    id: 't1.test',
    type: 'webhook.test',
    time: expect.any(String),
    data: { test: true },
  });
  expect(WebhookEvent.parse(event)).toEqual(event);
});
