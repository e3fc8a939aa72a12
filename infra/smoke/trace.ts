import { ok as holds } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, connect } from '@warmwind/shared/client/client';
import type { Container } from '@warmwind/shared/containers';
import type { Envelope, Room } from '@warmwind/shared/events';
import type { Job } from '@warmwind/shared/jobs';
import type { Ticket } from '@warmwind/shared/realtime';
import { failed, notReady, stuck, tokenRefused } from './advice.ts';
import type { Api } from './api.ts';

/** One thing that a user relies on. `needs`: the route, which an older edge may not have. */
export type Check = { what: string; needs?: string; run: () => Promise<string> };

const patience = process.env.SMOKE_PATIENCE_MS;
/** A cold desktop on a busy machine. */
const DESKTOP_WITHIN_MS = Number(patience ?? 120_000);
const SHORT_MS = Number(patience ?? 30_000);
/** Reads an image on any worker, without a GPU. */
const READER = 'ocr-eng';
const ENDED = ['job.completed', 'job.failed', 'job.cancelled', 'job.timed_out'];

/**
 * The main trace, in order: who asks, start, watch, read, stop, cancel. Each check builds on those before it. `clean` stops
 * what was started, whatever came of it.
 */
export function mainTrace(api: Api): { checks: Check[]; clean: () => Promise<void> } {
  const events: Envelope[] = [];
  const started: string[] = [];
  let relay: Connection | undefined;
  let refused: string | undefined;
  let first = { jobId: '', containerId: '' };

  const seen = async (
    what: string,
    found: (event: Envelope) => boolean,
    withinMs: number,
  ): Promise<Envelope> => {
    for (const deadline = Date.now() + withinMs; ; await sleep(50)) {
      const event = events.find(found);
      if (event) return event;
      if (Date.now() > deadline) {
        const types = events.map(({ type }) => type);
        throw new Error(`no ${what} within ${withinMs / 1000} s: ${stuck(types)}. Seen: ${types.join(', ')}`);
      }
    }
  };
  const follow = (room: Room) =>
    relay?.subscribe(room, { onEvent: (event) => events.push({ ...event, room }) });
  const start = async (headers = {}) => {
    const answer = await api.call<typeof first>('POST', '/containers/start', {
      body: { ttlSeconds: 300, name: 'smoke' },
      headers,
    });
    if (answer.status === 202) started.push(answer.body.containerId);
    return answer;
  };
  const is = (status: number, wanted: number, body: unknown) =>
    holds(status === wanted, `${status} instead of ${wanted}: ${JSON.stringify(body).slice(0, 300)}`);

  const checks: Check[] = [
    {
      what: 'lives and is ready',
      run: async () => {
        for (const path of ['/health/live', '/health/ready']) {
          const { status, body } = await api.call('GET', path, { token: undefined });
          holds(status !== 503, notReady(body));
          is(status, 200, body);
        }
        return '';
      },
    },
    {
      what: 'describes itself',
      run: async () => {
        const { body } = await api.call<{ openapi: string; paths: object }>('GET', '/openapi.json');
        holds(body.openapi.startsWith('3.1'), `openapi is ${body.openapi}`);
        return `${Object.keys(body.paths).length} paths`;
      },
    },
    {
      what: 'knows who asks: no token is 401, nobody’s desktop is 404',
      run: async () => {
        is((await api.call('GET', '/jobs', { token: undefined })).status, 401, 'GET /jobs');
        const foreign = await api.call('GET', `/containers/${randomUUID()}`);
        holds(foreign.status !== 401, tokenRefused);
        is(foreign.status, 404, foreign.body);
        return '';
      },
    },
    {
      what: 'tells limits and says them on every answer',
      run: async () => {
        const { status, body } = await api.call<{ tiers: object[]; quotas: object[] }>('GET', '/limits');
        is(status, 200, body);
        const { headers } = await api.call('GET', '/jobs?limit=1');
        holds(body.tiers.length === 0 || headers.has('X-RateLimit-Remaining'), 'no X-RateLimit-Remaining');
        return `${body.tiers.length} tiers, ${body.quotas.length} quotas`;
      },
    },
    {
      what: 'lets a browser watch: ticket, socket, room',
      run: async () => {
        const ticket = async () => {
          const { status, body } = await api.call<Ticket>('POST', '/realtime/token', { body: {} });
          holds(status === 200 || status === 201, `${status}: ${JSON.stringify(body)}`);
          return body;
        };
        const { url } = await ticket();
        relay = connect({
          url,
          token: async () => (await ticket()).token,
          onError: ({ code, message }) => {
            refused = `${code}: ${message}`;
          },
        });
        for (const deadline = Date.now() + SHORT_MS; relay.state !== 'live'; await sleep(50)) {
          holds(
            Date.now() < deadline,
            `no socket at ${url}: ${refused ?? 'no answer'}. Is a relay there (RELAY_URL of the edge), with the edge’s AUTH_SECRET?`,
          );
        }
        return url;
      },
    },
    {
      what: 'starts a desktop once, however often it is asked with one key',
      run: async () => {
        const key = { 'Idempotency-Key': randomUUID() };
        const { status, body } = await start(key);
        is(status, 202, body);
        first = body;
        const again = await start(key);
        holds(again.body.jobId === first.jobId, 'the same key made another job');
        holds(again.headers.get('Idempotent-Replayed') === 'true', 'a replay is not called one');
        follow(`container:${first.containerId}`);
        follow(`job:${first.jobId}`);
        return first.containerId;
      },
    },
    {
      what: 'is seen to start, live',
      run: async () => {
        const since = Date.now();
        const end = await seen('end of its start', ({ type }) => ENDED.includes(type), DESKTOP_WITHIN_MS);
        holds(end.type === 'job.completed', failed(end.data as Parameters<typeof failed>[0]));
        await seen('container.started', ({ type }) => type === 'container.started', SHORT_MS);
        return `${Date.now() - since} ms`;
      },
    },
    {
      what: 'reads the same from its lists and records',
      run: async () => {
        const { body: container } = await api.call<Container>('GET', `/containers/${first.containerId}`);
        holds(container.state === 'running', `it is ${container.state}`);
        const { body: job } = await api.call<Job>('GET', `/jobs/${first.jobId}`);
        holds(
          job.state === 'completed' && job.progress === 100,
          `its job is ${job.state}, ${job.progress} %`,
        );
        const { body: list } = await api.call<{ items: Container[] }>('GET', '/containers?limit=50');
        holds(
          list.items.some(({ id }) => id === first.containerId),
          'it is in no list',
        );
        return '';
      },
    },
    {
      what: 'tells its events as a stream, to its end',
      needs: 'get /jobs/{id}/events',
      run: async () => {
        const response = await api.fetch('GET', `/jobs/${first.jobId}/events`);
        is(response.status, 200, response.headers.get('Content-Type'));
        const text = await response.text();
        holds(/^event: job\.completed$/m.test(text), `the stream ended without its end: ${text.slice(-300)}`);
        return `${text.match(/^id:/gm)?.length ?? 0} events`;
      },
    },
    {
      what: 'shows its screen',
      needs: 'get /containers/{id}/screenshot',
      run: async () => {
        const response = await api.fetch('GET', `/containers/${first.containerId}/screenshot`);
        const bytes = (await response.arrayBuffer()).byteLength;
        is(response.status, 200, `${bytes} bytes`);
        return `${bytes} bytes`;
      },
    },
    {
      what: 'reads what stands on it',
      needs: 'get /models',
      run: async () => {
        const { body: models } = await api.call<object>('GET', '/models');
        if (!JSON.stringify(models).includes(`"${READER}"`)) return `no worker serves ${READER}`;
        const { status, body } = await api.call<{ jobId: string }>('POST', '/inference', {
          body: { model: READER, containerId: first.containerId },
        });
        is(status, 202, body);
        const room: Room = `job:${body.jobId}`;
        follow(room);
        const end = await seen(
          'end of the reading',
          (event) => event.room === room && ENDED.includes(event.type),
          DESKTOP_WITHIN_MS,
        );
        holds(end.type === 'job.completed', failed(end.data as Parameters<typeof failed>[0]));
        return READER;
      },
    },
    {
      what: 'stops it, and says so',
      run: async () => {
        const { status, body } = await api.call('POST', `/containers/${first.containerId}/stop`);
        is(status, 202, body);
        await seen('container.stopped', ({ type }) => type === 'container.stopped', SHORT_MS);
        return '';
      },
    },
    {
      what: 'cancels a job, or says that it had ended',
      needs: 'delete /jobs/{id}',
      run: async () => {
        const { status, body } = await start();
        is(status, 202, body);
        follow(`job:${body.jobId}`);
        const cancel = await api.call('DELETE', `/jobs/${body.jobId}`);
        holds([202, 409].includes(cancel.status), `${cancel.status}: ${JSON.stringify(cancel.body)}`);
        const end = await seen(
          'end of the cancelled job',
          ({ type, room }) => room === `job:${body.jobId}` && ENDED.includes(type),
          DESKTOP_WITHIN_MS,
        );
        return end.type;
      },
    },
    {
      what: 'accounts for it',
      needs: 'get /usage',
      run: async () => {
        const { status, body } = await api.call('GET', '/usage');
        holds(status === 200 || body.code === 'not_found', `${status}: ${JSON.stringify(body)}`);
        return status === 200 ? '' : 'this edge has no ledger';
      },
    },
  ];
  const clean = async () => {
    relay?.close();
    for (const id of started) await api.call('POST', `/containers/${id}/stop`).catch(() => undefined);
  };
  return { checks, clean };
}
