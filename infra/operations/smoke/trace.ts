import { ok as holds } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, connect } from '@warmwind/shared/client/client';
import type { EdgeClient } from '@warmwind/shared/client/http';
import type { Envelope, Room } from '@warmwind/shared/contract/rooms';
import { failed, notReady, stuck, tokenRefused } from './advice.ts';
import { clientOf, refusalOf } from './edge.ts';

/** A check of the main trace. `needs` is its route, which an older edge may not have. */
export type Check = { what: string; needs?: string; run: () => Promise<string> };

const patience = process.env.SMOKE_PATIENCE_MS;
/** A cold desktop on a busy machine. */
const DESKTOP_WITHIN_MS = Number(patience ?? 120_000);
const SHORT_MS = Number(patience ?? 30_000);
/** Reads an image on any worker, without a GPU. */
const READER = 'ocr-eng';
const ENDED = ['job.completed', 'job.failed', 'job.cancelled', 'job.timed_out'];

const START = { ttlSeconds: 300, name: 'smoke' };

/**
 * The main trace, in order: authenticate, start, watch, read, stop, cancel. Each check depends on those
 * before it. `clean` stops everything that was started, also after a failure.
 */
export function mainTrace(url: string, edge: EdgeClient): { checks: Check[]; clean: () => Promise<void> } {
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
  const start = async (idempotencyKey: string = randomUUID()) => {
    const answer = await edge.startContainer(START, { idempotencyKey });
    started.push(answer.containerId);
    return answer;
  };
  const stranger = clientOf(url);

  const checks: Check[] = [
    {
      what: 'lives and is ready',
      run: async () => {
        const once = { retries: { attempts: 1 } };
        for (const check of [stranger.live(once), stranger.ready(once)]) {
          const refusal = await refusalOf(check);
          if (refusal?.status === 503) throw new Error(notReady(refusal.body));
          holds(!refusal, refusal);
        }
        return '';
      },
    },
    {
      what: 'describes itself',
      run: async () => {
        type Document = { openapi: string; paths: object };
        const { body } = await edge.request<Document>('GET', '/openapi.json');
        holds(body.openapi.startsWith('3.1'), `openapi is ${body.openapi}`);
        return `${Object.keys(body.paths).length} paths`;
      },
    },
    {
      what: 'authenticates: no token is 401, an unknown desktop is 404',
      run: async () => {
        holds((await refusalOf(stranger.listJobs()))?.status === 401, 'GET /jobs without a token is not 401');
        const foreign = await refusalOf(edge.getContainer(randomUUID()));
        holds(foreign?.status !== 401, tokenRefused);
        holds(foreign?.status === 404, `a missing container: ${foreign?.message ?? 'it was found'}`);
        return '';
      },
    },
    {
      what: 'reports limits, also in the headers of every answer',
      run: async () => {
        const { tiers, quotas } = await edge.getLimits();
        const { headers } = await edge.request('GET', '/jobs', { query: { limit: 1 } });
        holds(tiers.length === 0 || headers.has('X-RateLimit-Remaining'), 'no X-RateLimit-Remaining');
        return `${tiers.length} tiers, ${quotas.length} quotas`;
      },
    },
    {
      what: 'lets a browser watch: ticket, socket, room',
      run: async () => {
        const { url } = await edge.createTicket();
        relay = connect({
          url,
          token: async () => (await edge.createTicket()).token,
          onError: ({ code, message }) => {
            refused = `${code}: ${message}`;
          },
        });
        for (const deadline = Date.now() + SHORT_MS; relay.state !== 'live'; await sleep(50)) {
          holds(
            Date.now() < deadline,
            `no socket at ${url}: ${refused ?? 'no answer'}. Check the relay at RELAY_URL of the edge, and that its AUTH_SECRET is the edge’s`,
          );
        }
        return url;
      },
    },
    {
      what: 'starts a desktop once for one key, however often it is submitted',
      run: async () => {
        const key = randomUUID();
        first = await start(key);
        const again = await start(key);
        holds(again.jobId === first.jobId, 'the same key made another job');
        holds(again.replayed, 'a replay is not marked as one');
        follow(`container:${first.containerId}`);
        follow(`job:${first.jobId}`);
        return first.containerId;
      },
    },
    {
      what: 'starts, with live events',
      run: async () => {
        const since = Date.now();
        const end = await seen('end of its start', ({ type }) => ENDED.includes(type), DESKTOP_WITHIN_MS);
        holds(end.type === 'job.completed', failed(end.data as Parameters<typeof failed>[0]));
        await seen('container.started', ({ type }) => type === 'container.started', SHORT_MS);
        return `${Date.now() - since} ms`;
      },
    },
    {
      what: 'shows the same in lists and records',
      run: async () => {
        const container = await edge.getContainer(first.containerId);
        holds(container.state === 'running', `it is ${container.state}`);
        const job = await edge.getJob(first.jobId);
        holds(
          job.state === 'completed' && job.progress === 100,
          `its job is ${job.state}, ${job.progress} %`,
        );
        const { items } = await edge.listContainers({ limit: 50 });
        holds(
          items.some(({ id }) => id === first.containerId),
          'it is in no list',
        );
        return '';
      },
    },
    {
      what: 'streams its events to the end',
      needs: 'get /jobs/{id}/events',
      run: async () => {
        const types: string[] = [];
        for await (const { type } of edge.jobEvents(first.jobId)) types.push(type);
        holds(types.at(-1) === 'job.completed', `the stream ended without its end: ${types.join(', ')}`);
        return `${types.length} events`;
      },
    },
    {
      what: 'shows its screen',
      needs: 'get /containers/{id}/screenshot',
      run: async () => {
        return `${(await edge.screenshot({ containerId: first.containerId })).size} bytes`;
      },
    },
    {
      what: 'reads the text on the screen',
      needs: 'get /models',
      run: async () => {
        const { items } = await edge.listModels();
        if (!items.some(({ id }) => id === READER)) return `no worker serves ${READER}`;
        const { jobId } = await edge.infer({ model: READER, containerId: first.containerId });
        const room: Room = `job:${jobId}`;
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
      what: 'stops it, and reports the end',
      run: async () => {
        await edge.stopContainer({ containerId: first.containerId });
        await seen('container.stopped', ({ type }) => type === 'container.stopped', SHORT_MS);
        return '';
      },
    },
    {
      what: 'cancels a job, or reports that it had ended',
      needs: 'delete /jobs/{id}',
      run: async () => {
        const { jobId } = await start();
        follow(`job:${jobId}`);
        const refusal = await refusalOf(edge.cancelJob(jobId));
        holds(!refusal || refusal.code === 'conflict', refusal);
        const end = await seen(
          'end of the cancelled job',
          ({ type, room }) => room === `job:${jobId}` && ENDED.includes(type),
          DESKTOP_WITHIN_MS,
        );
        return end.type;
      },
    },
    {
      what: 'counts it as usage',
      needs: 'get /usage',
      run: async () => {
        const refusal = await refusalOf(edge.getUsage());
        holds(!refusal || refusal.code === 'not_found', refusal);
        return refusal ? 'this edge has no ledger' : '';
      },
    },
  ];
  const clean = async () => {
    relay?.close();
    for (const containerId of started) await edge.stopContainer({ containerId }).catch(() => undefined);
  };
  return { checks, clean };
}
