import type { Container } from '@warmwind/shared/contract/containers';
import type { ErrorBody, ErrorCode } from '@warmwind/shared/contract/errors';
import type { DirectoryListing } from '@warmwind/shared/contract/files';
import type { GenerationResult } from '@warmwind/shared/contract/inference';
import type { Job } from '@warmwind/shared/contract/jobs';
import type { Limits } from '@warmwind/shared/contract/limits';
import { completion, modelEntry, openAiError, usageOf } from '@warmwind/shared/contract/openai';
import type { Viewers } from '@warmwind/shared/contract/screen';
import type { ShareLink, Ticket } from '@warmwind/shared/contract/tickets';
import type { WebhookDelivery } from '@warmwind/shared/contract/webhook-deliveries';
import type { UsageDay } from '@warmwind/shared/engine/ledger/usage';
import type { Health } from '@warmwind/shared/runtime/health';

/** The examples of the document. */

const JOB_ID = '0198f0a2-5d3c-7c1e-9a3b-6f0e1d2c3b4a';
const CONTAINER_ID = '0198f0a2-5d3d-7b1a-8c2d-1a2b3c4d5e6f';
const VIEWER_ID = 'Zk3w9bT1mQxLr0vAAAAB';
const TICKET_ID = '5f0c7a52-8f0e-4c59-9b1f-0e9a6f1d7c33';
const MODEL = 'desk-tiny';
const CREATED = '2026-11-25T09:00:00.000Z';
const STARTED = '2026-11-25T09:00:00.250Z';
const FINISHED_AT = '2026-11-25T10:00:00.250Z';

export const JOB: Job = {
  id: JOB_ID,
  kind: 'inference',
  state: 'completed',
  progress: 100,
  run: 1,
  attemptsMade: 1,
  result: {
    model: MODEL,
    text: 'Hello, how can I help?',
    finishReason: 'stop',
    usage: { inputTokens: 9, outputTokens: 7 },
    queueMs: 250,
    firstTokenMs: 40,
    runMs: 310,
  } satisfies GenerationResult,
  createdAt: CREATED,
  startedAt: STARTED,
  finishedAt: '2026-11-25T09:00:00.560Z',
};
export const ACCEPTED = { jobId: JOB_ID };
export const ACCEPTED_START = { jobId: JOB_ID, containerId: CONTAINER_ID };
export const ACCEPTED_RETRY = { jobId: JOB_ID, run: 2 };

export const DESKTOP: Container = {
  id: CONTAINER_ID,
  name: 'My desk',
  state: 'running',
  image: 'desktop',
  width: 1280,
  height: 720,
  host: 'worker-1',
  incarnation: 1,
  createdAt: CREATED,
  startedAt: STARTED,
  expiresAt: FINISHED_AT,
  jobId: JOB_ID,
  labels: { team: 'design' },
};
export const VIEWERS: Viewers = {
  items: [
    {
      id: VIEWER_ID,
      userId: 'user-1',
      ticketId: TICKET_ID,
      shared: false,
      mode: 'control',
      control: true,
      since: STARTED,
    },
  ],
  control: { type: 'viewer', viewerId: VIEWER_ID, userId: 'user-1' },
};

export const LISTING: DirectoryListing = {
  items: [
    { name: 'Documents', type: 'directory', size: 4096, modifiedAt: STARTED },
    { name: 'report.txt', type: 'file', size: 11, modifiedAt: STARTED },
  ],
};

export const MODELS = { items: [{ id: MODEL, hosts: 2 }] };

export const SHARE = { containerId: CONTAINER_ID, mode: 'view' as const, ttlSeconds: 3600 };
export const SHARE_LINK: ShareLink = {
  id: TICKET_ID,
  containerId: CONTAINER_ID,
  mode: 'view',
  createdAt: STARTED,
  expiresAt: FINISHED_AT,
};
export const TICKET: Ticket = {
  id: TICKET_ID,
  token: 'eyJhbGciOiJIUzI1NiJ9.…',
  url: 'https://relay.example.com',
  expiresAt: FINISHED_AT,
};

export const LIMITS: Limits = {
  tiers: [{ name: '10/s', limit: 10, windowMs: 1000, remaining: 9, resetAt: STARTED }],
  quotas: [{ name: 'desktops', limit: 20, used: 1 }],
};
export const USAGE: { items: UsageDay[] } = {
  items: [
    {
      day: '2026-11-25',
      jobs: 12,
      queueSeconds: 3.25,
      runSeconds: 41.5,
      desktopSeconds: 3600,
      inputTokens: 2048,
      outputTokens: 512,
    },
  ],
};
export const DELIVERY: WebhookDelivery = {
  id: `${JOB_ID}.1.end`,
  jobId: JOB_ID,
  about: 'end',
  state: 'pending',
  host: 'hooks.example.com',
  attempts: 2,
  resends: 0,
  status: 503,
  createdAt: CREATED,
  attemptedAt: STARTED,
  nextAttemptAt: '2026-11-25T09:00:10.250Z',
};
export const SECRET = { secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' };
export const HEALTH: Health = {
  status: 'ok',
  info: { redisQueue: { status: 'up' } },
  error: {},
  details: { redisQueue: { status: 'up' } },
};
export const UNHEALTHY: Health = {
  status: 'error',
  info: {},
  error: { redisQueue: { status: 'down', message: 'no answer within 1500 ms' } },
  details: { redisQueue: { status: 'down', message: 'no answer within 1500 ms' } },
};

export const EVENTS = `id: 1764061200250-0
event: job.active
data: {"id":"1764061200250-0","room":"job:${JOB_ID}","type":"job.active","run":1,"time":"${STARTED}","data":{"jobId":"${JOB_ID}","kind":"inference","attempt":1}}

`;

export const CHAT = { model: MODEL, messages: [{ role: 'user' as const, content: 'Hello' }] };
const HEAD = { id: `chatcmpl-${JOB_ID}`, created: 1_764_061_200, model: MODEL };
export const COMPLETION = completion(HEAD, {
  text: 'Hello, how can I help?',
  finishReason: 'stop',
  usage: usageOf(9, 7),
});
export const MODEL_ENTRY = modelEntry(MODEL, 0);

/** One failed answer for each status. */
const FAILED: Record<number, Pick<ErrorBody, 'code' | 'message'> & Partial<ErrorBody>> = {
  400: {
    code: 'bad_request',
    message: 'The request is not valid: see issues.',
    issues: [{ path: 'width', message: 'must be at most 3840' }],
  },
  401: { code: 'unauthenticated', message: 'Send a token: Authorization: Bearer <token>.' },
  403: {
    code: 'admin_required',
    message: 'This is for administrators: send a token whose claim `role` is `admin`.',
  },
  404: { code: 'not_found', message: 'There is no such desktop. See /docs for what there is.' },
  408: {
    code: 'request_timeout',
    message: 'The body was not complete within 20 seconds: send it again.',
  },
  409: { code: 'conflict', message: "The desktop is stopped and won't run again: start another." },
  413: { code: 'payload_too_large', message: 'The body is larger than 256 KB: send less.' },
  415: {
    code: 'unsupported_media_type',
    message: 'Send the body as JSON with Content-Type: application/json.',
  },
  429: { code: 'rate_limited', message: 'Over the limit of 10/s: try again in 1 second.', retryAfterMs: 120 },
  500: {
    code: 'internal',
    message: 'Something went wrong on our side. Retry; if it stays, report the request id.',
  },
  503: {
    code: 'unavailable',
    message:
      'It is unknown whether this was accepted: retry with the same Idempotency-Key, and it runs once.',
    retryAfterMs: 1000,
  },
  504: { code: 'upstream_timeout', message: 'The desktop did not answer in time: retry.' },
};

const known = (status: number): { code: ErrorCode; message: string } & Partial<ErrorBody> =>
  FAILED[status] ?? { code: 'internal', message: '' };

export const failed = (status: number): ErrorBody => ({
  statusCode: status,
  requestId: '3f2b8c1e-6f0a-4f0e-8a56-0d7d3c1f9b22',
  ...known(status),
});

export const failedOpenAi = (status: number) =>
  openAiError(status, known(status).message, known(status).code);
