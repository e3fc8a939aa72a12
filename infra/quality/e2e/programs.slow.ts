import { createHash } from 'node:crypto';
import { type Connection, connect } from '@warmwind/shared/client/client';
import type { EdgeClient } from '@warmwind/shared/client/http';
import type { Envelope } from '@warmwind/shared/contract/events';
import type { ProgramResult } from '@warmwind/shared/contract/programs';
import type { OutputStream } from '@warmwind/shared/engine/node/records';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS, startEngine } from '../testing/docker.ts';
import { waitFor } from '../testing/wait.ts';
import { edgeOf } from './client.ts';
import { createStack, signalPart, type TestStack } from './stack.ts';

let stack: TestStack;
let edge: EdgeClient;
let containerId: string;
/** The part of the stack that is the container's host. */
let host: string;
const connections: Connection[] = [];

beforeAll(async () => {
  await startEngine();
  stack = createStack({ RATE_LIMITS: '{"user": [], "ip": [], "containers.start": []}', MODEL_SERVER: 'off' });
  await stack.start();
  edge = edgeOf(stack.file());
  const started = await edge.startContainer({ ttlSeconds: 3600 }, { waitMs: 10_000 });
  containerId = started.containerId;
  const desktop = await waitFor('the desktop', async () => {
    const now = await edge.getContainer(containerId);
    return now.state === 'running' && now;
  });
  host = desktop.host ?? '';
}, ENGINE_WITHIN_MS);
afterAll(async () => {
  for (const connection of connections) connection.close();
  await stack?.remove();
}, 90_000);

/** Runs a program that ends within ten seconds. */
async function run(...cmd: string[]): Promise<ProgramResult> {
  const { job } = await edge.exec({ containerId, cmd }, { waitMs: 10_000 });
  expect(job).toMatchObject({ state: 'completed' });
  return job?.result as ProgramResult;
}

/** The output of a job as a client receives it: each stream without a gap, and no byte twice. */
class Received {
  readonly #parts: Record<OutputStream, Buffer[]> = { stdout: [], stderr: [] };
  readonly ends: Record<OutputStream, number> = { stdout: 0, stderr: 0 };
  last: Envelope | undefined;
  truncated = 0;

  take(event: Envelope): void {
    this.last = event;
    if (event.type !== 'job.output' || !('stream' in event.data)) return;
    const { stream, offset } = event.data;
    expect([stream, offset]).toEqual([stream, this.ends[stream]]);
    const bytes =
      'text' in event.data ? Buffer.from(event.data.text) : Buffer.from(event.data.base64, 'base64');
    this.#parts[stream].push(bytes);
    this.ends[stream] += bytes.length;
  }

  bytes(stream: OutputStream): Buffer {
    return Buffer.concat(this.#parts[stream]);
  }
}

function follow(jobId: string, received: Received): Connection {
  const { relay } = stack.file();
  const connection = connect({ url: relay, token: async () => (await edge.createTicket()).token });
  connections.push(connection);
  connection.subscribe(`job:${jobId}`, {
    ...(received.last ? { after: received.last.id } : {}),
    onEvent: (event) => received.take(event),
    onTruncated: () => {
      received.truncated += 1;
    },
  });
  return connection;
}

test('`Prefer: wait` answers with the result of a program, and processes are listed and ended', async () => {
  expect(await run('sh', '-c', 'echo out; echo err >&2; exit 4')).toEqual({
    exitCode: 4,
    stdout: 'out\n',
    stderr: 'err\n',
    truncated: false,
  });
  const { job } = await edge.exec(
    { containerId, cmd: ['sleep', '5001'], background: true },
    { waitMs: 10_000 },
  );
  const { processId } = (job?.result ?? {}) as { processId: string };
  const { items } = await edge.listProcesses({ containerId });
  expect(items).toContainEqual(
    expect.objectContaining({ id: processId, cmd: ['sleep', '5001'], state: 'running', background: true }),
  );
  expect(await edge.endProcess({ containerId, processId })).toEqual({ processId });
  const after = await edge.listProcesses({ containerId });
  expect(after.items.find(({ id }) => id === processId)).toMatchObject({ state: 'ended', signal: 'SIGKILL' });
  await expect(edge.endProcess({ containerId, processId: 'unknown' })).rejects.toMatchObject({
    code: 'not_found',
  });
});

test('10 MB and 20,000 slow lines arrive as they were written, through restarts of relays, worker and client', async () => {
  const lines =
    'for i in $(seq 1 200); do for j in $(seq 1 100); do echo "line $i.$j äöü"; done; sleep 0.2; done';
  const script = `(${lines} | tee /tmp/lines >&2) & head -c 10485760 /dev/urandom | tee /tmp/bytes; wait; echo run >> /tmp/runs`;
  const { jobId } = await edge.exec({ containerId, cmd: ['sh', '-c', script] });
  const received = new Received();
  let connection = follow(jobId, received);
  const reached = (bytes: number) => waitFor(`${bytes} bytes`, () => received.ends.stdout > bytes, 60_000);
  await reached(1_000_000);
  await signalPart(stack, 'relay-1', 'SIGTERM');
  await reached(2_500_000);
  connection.close();
  connection = follow(jobId, received);
  await reached(4_000_000);
  await signalPart(stack, host, 'SIGTERM');
  await reached(6_000_000);
  await signalPart(stack, 'relay-2', 'SIGTERM');
  await reached(8_000_000);
  await signalPart(stack, host, 'SIGKILL');
  await waitFor('the end', () => received.last?.type === 'job.completed', 120_000);
  expect(received.truncated).toBe(0);
  for (const [stream, file] of [
    ['stdout', '/tmp/bytes'],
    ['stderr', '/tmp/lines'],
  ] as const) {
    const bytes = received.bytes(stream);
    const { stdout } = await run('sha256sum', file);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(stdout.split(' ')[0]);
  }
  expect(received.bytes('stderr').toString().split('\n')).toHaveLength(20_001);
  expect(received.ends.stdout).toBe(10_485_760);
  expect((await run('cat', '/tmp/runs')).stdout).toBe('run\n');
  const job = await edge.getJob(jobId);
  expect(job).toMatchObject({ run: 1, result: { exitCode: 0, truncated: true } });
}, 300_000);
