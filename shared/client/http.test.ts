import { createServer, connect as dial, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { signToken } from '../../infra/local/edge/testing.ts';
import { type EdgeWithRelay, startEdgeWithRelay } from '../../infra/local/edge/with-relay.ts';
import { storedEvent } from '../../infra/quality/testing/events.ts';
import { freePort } from '../../infra/quality/testing/port.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { picture, TestCallHost } from '../../relay/testing/call-host.ts';
import { Models, pageOf, ShareLinkList, WebhookSecret } from '../contract/answers.ts';
import { containerScreenshot } from '../contract/commands/container-screenshot.ts';
import { Container } from '../contract/containers.ts';
import { Job } from '../contract/jobs.ts';
import { Limits } from '../contract/limits.ts';
import { CALL_COMMANDS, JOB_COMMANDS, type JobKind } from '../contract/registry.ts';
import { Viewers } from '../contract/screen.ts';
import { Ticket } from '../contract/tickets.ts';
import { keys } from '../engine/keys.ts';
import { appendEvents } from '../engine/node/event-log.ts';
import { createEdgeClient, type EdgeClient } from './http.ts';
import { ApiError, NetworkError, RequestTimeoutError, UnexpectedAnswerError } from './http-errors.ts';
import type { CommandInput } from './submission.ts';
import type { TransportOptions } from './transport.ts';

let world: EdgeWithRelay;
beforeAll(async () => {
  world = await startEdgeWithRelay({
    RATE_LIMITS: '{"user": [], "ip": [], "containers.start": ["2/s", "8/h"]}',
  });
});
afterAll(() => world?.stop());

/** A client of one user. Each test has a user of its own, because limits and records belong to a user. */
const clientOf = (user: string, options: Partial<TransportOptions> = {}): EdgeClient =>
  createEdgeClient({ url: world.edge.url, token: () => signToken({ sub: user }), ...options });

const failureOf = async (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => expect.fail('the call succeeded'),
    (error: unknown) => error,
  );

/** A proxy to the edge. `onAnswer` receives each chunk of a response, and may destroy its socket. */
async function startProxy(onAnswer: (piece: string | Buffer, socket: Socket) => void) {
  const { port: edgePort } = new URL(world.edge.url);
  const server = createServer((socket) => {
    const edge = dial(Number(edgePort), '127.0.0.1');
    socket.pipe(edge);
    edge.on('data', (piece) => {
      onAnswer(piece, socket);
      if (!socket.destroyed) socket.write(piece);
    });
    for (const [one, other] of [
      [socket, edge],
      [edge, socket],
    ] as const) {
      one.on('error', () => undefined).on('close', () => other.destroy());
    }
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${port}`, stop: () => server.close() };
}

test.each(JOB_COMMANDS.map((command) => [command.kind, command] as const))(
  '%s has a method that submits its example',
  async (kind, { http, example, container, requires }) => {
    const user = `command-${kind}`;
    const client = clientOf(user);
    const method = client[http.operationId as keyof EdgeClient] as (input: object) => Promise<object>;
    const { containerId } = await client.startContainer();
    const [state] = requires ?? [];
    if (state)
      await world.edge.gateway.redis.client.hset(keys.container(user, containerId), { state, host: 'a' });
    const input = { ...(example as object), ...(container === 'path' ? { containerId } : {}) };
    expect(await method(input)).toMatchObject({
      jobId: expect.any(String),
      replayed: false,
      ...(container === 'creates' ? { containerId: expect.any(String) } : {}),
    });
    expect((await client.command(kind, input as CommandInput<JobKind>)).jobId).toEqual(expect.any(String));
  },
);

test.each(CALL_COMMANDS.map((command) => [command.kind, command] as const))(
  '%s has a method that sends its example to its container and expected incarnation',
  async (kind, { http, example }) => {
    const user = `call-${kind}`;
    const client = clientOf(user);
    const method = client[http.operationId as keyof EdgeClient] as (
      input: object,
      options?: object,
    ) => Promise<unknown>;
    const { containerId } = await client.startContainer();
    const input = { ...(example as object), containerId };
    // The container does not run yet, so this error shows that the call reached it.
    expect(await failureOf(method(input, { ifMatch: 0 }))).toMatchObject({ status: 409, code: 'conflict' });
    expect(await failureOf(method(input, { ifMatch: 1 }))).toMatchObject({
      status: 409,
      code: 'gone_incarnation',
    });
    expect(
      await failureOf(clientOf('stranger-of-calls')[http.operationId as 'screenshot'](input)),
    ).toMatchObject({
      code: 'not_found',
    });
    const signal = AbortSignal.abort('enough');
    expect(await failureOf(method(input, { signal }))).toBe('enough');
  },
);

test('a screenshot arrives through edge and relay as the host made it', async () => {
  const client = clientOf('looker');
  const { containerId } = await client.startContainer();
  await world.edge.gateway.redis.client.hset(keys.container('looker', containerId), {
    state: 'running',
    fence: 2,
  });
  expect((await client.getContainer(containerId)).incarnation).toBe(2);
  const ends: (() => unknown)[] = [];
  const { host, taken } = await TestCallHost.start(
    { realtime: world.realtime, onTidy: (end) => ends.push(end) },
    [containerScreenshot],
  );
  host.runs({ userId: 'looker', containerId }, 2);
  const asking = client.screenshot({ containerId, format: 'jpeg' }, { ifMatch: 2 });
  const { answer } = await waitFor('the call', () => taken.at(0));
  answer(picture(Buffer.from('seen'), 'jpeg'));
  const image = await asking;
  expect([image.type, await image.text()]).toEqual(['image/jpeg', 'seen']);
  for (const end of ends) await end();
});

test('the input types of a command are those of its definition', () => {
  const accept = <K extends JobKind>(_kind: K, _input: CommandInput<K>) => undefined;
  accept('container.start', { width: 1280 });
  accept('container.stop', { containerId: 'c' });
  accept('inference', { model: 'm', prompt: 'p' });
  // @ts-expect-error a stop needs the id of its container
  accept('container.stop', {});
  // @ts-expect-error a field that the command does not have
  accept('container.start', { colour: 'red' });
  // @ts-expect-error a command without a container in its path accepts no id
  accept('container.start', { containerId: 'c' });
});

test('every operation of the OpenAPI document has a method of its name', async () => {
  const client = clientOf('reader');
  type Paths = Record<string, Record<string, { operationId: string }>>;
  const { body } = await client.request<{ paths: Paths }>('GET', '/openapi.json');
  const operations = Object.entries(body.paths)
    // Stock clients speak these protocols.
    .filter(([path]) => !path.startsWith('/v1/') && path !== '/mcp')
    .flatMap(([, methods]) => Object.values(methods).map(({ operationId }) => operationId));
  expect(operations.length).toBeGreaterThan(15);
  for (const name of operations) expect(client[name as keyof EdgeClient], name).toBeTypeOf('function');
});

test('responses match their types', async () => {
  const client = clientOf('typed');
  const { containerId, jobId } = await client.startContainer({ name: 'typed' });
  Container.strict().parse(await client.getContainer(containerId));
  Job.strict().parse(await client.getJob(jobId));
  pageOf(Container.strict())
    .strict()
    .parse(await client.listContainers({ state: 'requested' }));
  pageOf(Job.strict())
    .strict()
    .parse(await client.listJobs({ kind: 'container.start' }));
  Limits.strict().parse(await client.getLimits());
  Models.strict().parse(await client.listModels());
  Viewers.strict().parse(await client.listViewers(containerId));
  WebhookSecret.strict().parse(await client.getWebhookSecret());
  expect((await client.getUsage()).items).toEqual([]);
  expect((await client.live()).status).toBe('ok');
  expect((await client.ready()).status).toBe('ok');

  const { id } = Ticket.strict().parse(await client.createTicket({ containerId }));
  const { items } = ShareLinkList.strict().parse(await client.listShareLinks());
  expect(items.map((link) => link.id)).toEqual([id]);
  await client.revokeTicket(id);
  await client.revokeAllTickets();
  expect(await client.cancelJob(jobId)).toEqual({ jobId });
  const { run } = await client.retryJob(jobId);
  expect(run).toBe(2);
});

test('a refusal is an ApiError with the code, the status, the issues and the id of the request', async () => {
  const foreign = await failureOf(clientOf('eve').getContainer('no-such'));
  expect(foreign).toBeInstanceOf(ApiError);
  expect(foreign).toMatchObject({ code: 'not_found', status: 404, isOutcomeUnknown: false });
  expect((foreign as ApiError).requestId).toBe((foreign as ApiError).headers.get('X-Request-Id'));

  const wrong = await failureOf(clientOf('eve').startContainer({ width: 1 }));
  expect(wrong).toMatchObject({ code: 'bad_request', issues: [{ path: 'width' }] });
  expect((wrong as ApiError).message).toMatch(/^width: /);

  const unknown = createEdgeClient({ url: world.edge.url });
  expect(await failureOf(unknown.listJobs())).toMatchObject({ code: 'unauthenticated', status: 401 });
});

test('a rate-limited call waits for a short limit, and rejects with the time of a long one', async () => {
  const client = clientOf('hasty');
  for (let i = 0; i < 8; i++) await client.startContainer();
  const refused = await failureOf(client.startContainer());
  expect(refused).toMatchObject({ code: 'rate_limited', status: 429, isOutcomeUnknown: false });
  expect((refused as ApiError).retryAfterMs).toBeGreaterThan(5000);
});

test('a submission while the ledger is unavailable is retried under its key and recorded once', async () => {
  const { postgres } = world.edge;
  const client = clientOf('patient', { retries: { attempts: 30 } });
  await postgres.kill();
  const idempotencyKey = 'patient-1';
  const away = await failureOf(client.startContainer({}, { idempotencyKey, retries: { attempts: 2 } }));
  expect(away).toMatchObject({ code: 'unavailable', status: 503, isOutcomeUnknown: true });
  const waiting = client.startContainer({}, { idempotencyKey });
  await postgres.restart();
  const { jobId } = await waiting;
  const { items } = await waitFor('the history', async () => {
    const page = await client.listJobs();
    return page.incomplete ? undefined : page;
  });
  expect(items.map(({ id }) => id)).toEqual([jobId]);
});

test('an aborted call rejects with the reason of its signal, and a slow one with a time-out', async () => {
  const { postgres } = world.edge;
  const client = clientOf('waiter');
  postgres.freeze();
  try {
    const controller = new AbortController();
    const reason = new Error('the user went away');
    const call = failureOf(client.startContainer({}, { signal: controller.signal }));
    controller.abort(reason);
    expect(await call).toBe(reason);

    const late = await failureOf(client.startContainer({}, { timeoutMs: 300, retries: { attempts: 2 } }));
    expect(late).toBeInstanceOf(RequestTimeoutError);
    expect(late).toMatchObject({ status: 0, timeoutMs: 300, isOutcomeUnknown: true });
  } finally {
    postgres.thaw();
  }
});

test('a submission whose response is lost is retried with the same key and creates one job', async () => {
  let lost = 0;
  const proxy = await startProxy((_, socket) => {
    if (lost++ === 0) socket.destroy();
  });
  const { jobId, replayed } = await clientOf('unlucky', { url: proxy.url }).startContainer();
  expect(replayed).toBe(true);
  const jobs = await Array.fromAsync(clientOf('unlucky').eachJob());
  expect(jobs.map(({ id }) => id)).toEqual([jobId]);
  proxy.stop();
});

test('a request that is not repeatable is not retried when its response is lost', async () => {
  const client = clientOf('careful');
  const { jobId } = await client.startContainer();
  const connections = new Set<Socket>();
  const proxy = await startProxy((_, socket) => {
    connections.add(socket);
    socket.destroy();
  });
  const lost = await failureOf(clientOf('careful', { url: proxy.url }).cancelJob(jobId));
  expect(lost).toBeInstanceOf(NetworkError);
  expect(lost).toMatchObject({ status: 0, isOutcomeUnknown: true });
  expect(connections.size).toBe(1);
  expect(await failureOf(client.cancelJob(jobId))).toMatchObject({ code: 'conflict' });
  proxy.stop();
});

test('a closed port, another server and a failing proxy each give their own error type', async () => {
  const port = await freePort();
  const nowhere = createEdgeClient({ url: `http://127.0.0.1:${port}`, retries: { attempts: 2 } });
  expect(await failureOf(nowhere.live())).toBeInstanceOf(NetworkError);

  const client = clientOf('lost');
  expect(await failureOf(client.request('GET', '/docs'))).toBeInstanceOf(UnexpectedAnswerError);

  const server = createServer((socket) => {
    socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhtml');
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  expect(await failureOf(nowhere.live())).toMatchObject({
    name: 'ApiError',
    code: 'unavailable',
    status: 502,
  });
  server.close();
});

test('eachJob and eachContainer iterate over all pages', async () => {
  const client = clientOf('lister');
  const started = new Set<string>();
  for (let i = 0; i < 3; i++) started.add((await client.startContainer()).containerId);
  const listed = await Array.fromAsync(client.eachContainer({ limit: 1 }));
  expect(new Set(listed.map(({ id }) => id))).toEqual(started);
  expect(listed).toHaveLength(3);
  expect(await Array.fromAsync(client.eachJob({ limit: 2, kind: 'container.start' }))).toHaveLength(3);
});

/** Ends a run as a worker does: writes the record, then the event. */
async function endJob(user: string, jobId: string): Promise<void> {
  await world.edge.gateway.redis.client.hset(keys.job(user, jobId), { state: 'completed', run: 1 });
  await append(user, jobId, 'job.completed', 'end:1');
}
const append = (
  user: string,
  jobId: string,
  type: 'job.active' | 'job.progress' | 'job.completed',
  token = '',
) =>
  appendEvents(world.realtime.client, { userId: user, room: `job:${jobId}` }, [
    { event: storedEvent(type, { jobId, percent: 10 }), token: token || type },
  ]);

test('a submission with waitMs returns the ended job', async () => {
  const client = clientOf('waits');
  const answering = client.infer({ model: 'm', prompt: 'p' }, { waitMs: 10_000 });
  const { id: jobId } = await waitFor('the job', async () => (await client.listJobs()).items[0]);
  await endJob('waits', jobId);
  expect(await answering).toMatchObject({ jobId, job: { id: jobId, state: 'completed' } });
});

test('events of a job continue after an interrupted stream, each once, and end with the job', async () => {
  let interruptions = 0;
  const proxy = await startProxy((piece, socket) => {
    // The first event arrives, and its connection breaks with the second.
    if (piece.includes('event: job.progress') && interruptions++ === 0) socket.destroy();
  });
  const client = clientOf('follower', { url: proxy.url });
  const { jobId } = await client.infer({ model: 'm', prompt: 'p' });
  await append('follower', jobId, 'job.active');
  const events: { id: string; type: string }[] = [];
  const reading = (async () => {
    for await (const event of client.jobEvents(jobId)) events.push(event);
  })();
  await waitFor('the first event', () => events.some(({ type }) => type === 'job.active'));
  await append('follower', jobId, 'job.progress');
  await waitFor('the second event', () => events.some(({ type }) => type === 'job.progress'));
  await endJob('follower', jobId);
  await reading;
  expect(interruptions).toBe(2);
  const types = events.map(({ type }) => type).filter((type) => type !== 'job.queued');
  expect(types).toEqual(['job.active', 'job.progress', 'job.completed']);

  // The edge responds with 204 to a client that has the last event.
  const after = events.at(-1)?.id ?? '';
  expect(await Array.fromAsync(client.jobEvents(jobId, { after }))).toEqual([]);
  proxy.stop();
});

test('a stream of events rejects with the reason of its signal, or with the refusal of the edge', async () => {
  const client = clientOf('leaver');
  const { jobId } = await client.infer({ model: 'm', prompt: 'p' });
  const controller = new AbortController();
  const reading = failureOf(Array.fromAsync(client.jobEvents(jobId, { signal: controller.signal })));
  const reason = new Error('enough');
  controller.abort(reason);
  expect(await reading).toBe(reason);
  expect(await failureOf(Array.fromAsync(client.jobEvents('none')))).toMatchObject({ code: 'not_found' });
});
