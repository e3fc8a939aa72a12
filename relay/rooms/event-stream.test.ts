import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LIMITS } from '../limits.ts';
import { Metrics } from '../metrics.ts';
import { Outgoing } from '../outgoing.ts';
import { EventStream } from './event-stream.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function open(isLatest: () => Promise<boolean> = async () => true) {
  const outgoing = new ServerResponse(new IncomingMessage(new Socket()));
  const metrics = new Metrics();
  const held = new Outgoing(metrics);
  const stream = new EventStream(outgoing, isLatest, metrics, { held, subject: 'ann' });
  const reader = stream.body.pipeThrough(new TextDecoderStream() as never).getReader();
  const read = async () => (await reader.read()).value as string | undefined;
  return { outgoing, stream, read };
}
const ended = { id: '1-0', room: 'job:x', type: 'job.completed', run: 1, time: '', data: {} } as const;

test('a stream sends a heartbeat every 15 s while no event arrives', async () => {
  const { read, stream } = open();
  for (let n = 0; n < 3; n++) {
    await vi.advanceTimersByTimeAsync(LIMITS.heartbeatMs);
    expect(await read()).toBe(': still here\n\n');
  }
  stream.close();
  expect(await read()).toBeUndefined();
});

test('a client that has read nothing between two heartbeats is disconnected', async () => {
  const { outgoing, stream } = open();
  for (let n = 0; n < 4; n++) stream.send({ ...ended, type: 'job.progress' });
  await vi.advanceTimersByTimeAsync(LIMITS.heartbeatMs);
  expect(outgoing.destroyed).toBe(false);
  await vi.advanceTimersByTimeAsync(LIMITS.heartbeatMs);
  expect(outgoing.destroyed).toBe(true);
});

test('a stream whose client does not read its end is disconnected', async () => {
  const { outgoing, stream } = open();
  for (let n = 0; n < 4; n++) stream.send({ ...ended, type: 'job.progress' });
  stream.close();
  await vi.advanceTimersByTimeAsync(LIMITS.slowMs);
  expect(outgoing.destroyed).toBe(true);
});

test('a failed lookup of the latest run is repeated at the next heartbeat', async () => {
  let asked = 0;
  const { read, stream } = open(async () => {
    asked += 1;
    if (asked === 1) throw new Error('away');
    return true;
  });
  stream.send(ended);
  expect(await read()).toContain('event: job.completed');
  await vi.advanceTimersByTimeAsync(LIMITS.heartbeatMs);
  expect(await read()).toBe(': still here\n\n');
  expect(await read()).toBeUndefined();
  expect(asked).toBe(2);
});
