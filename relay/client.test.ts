import { connect, type Refusal, type State } from '@warmwind/shared/client/client';
import { type AnyEnvelope, type Envelope, PRESENT, type StoredEvent } from '@warmwind/shared/contract/rooms';
import { keys } from '@warmwind/shared/engine/keys';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../infra/quality/testing/wait.ts';
import { percents, progress, ticket, upTo, World } from './testing/world.ts';

let world: World;

beforeAll(async () => {
  world = await World.start();
});
afterEach(() => world.tidy());
afterAll(() => world?.stop());

function client(url: string, token: string | (() => Promise<string>)) {
  const states: State[] = [];
  const refusals: Refusal[] = [];
  const connection = connect({
    url,
    token,
    onState: (state) => states.push(state),
    onError: (refusal) => refusals.push(refusal),
  });
  world.onTidy(connection.close);
  return { connection, states, refusals };
}

test('an expired ticket is replaced and the rooms resume at their last event', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  let fetched = 0;
  const { connection, states, refusals } = client(node.url, () => {
    fetched += 1;
    return ticket('ann', { expiresIn: fetched === 1 ? 2 : 600 });
  });
  const events: Envelope[] = [];
  const subscription = connection.subscribe(`job:${job}`, { onEvent: (event) => events.push(event) });
  await world.append('ann', job, progress(1));
  await waitFor('the first event', () => events.length === 1);
  await waitFor('the ticket to expire', () => states.includes('reconnecting'));
  await world.append('ann', job, progress(2));
  await waitFor('the second event', () => events.length === 2);
  await world.append('ann', job, progress(3));
  await waitFor('the third event', () => events.length === 3);
  expect(percents(events)).toEqual([1, 2, 3]);
  expect(states).toEqual(['live', 'reconnecting', 'live']);
  expect([fetched, refusals]).toEqual([2, []]);
  expect(subscription.lastId).toBe(events[2]?.id);
});

test('an event of an unknown type reaches onUnknownEvent, and the client resumes after it', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  const { connection } = client(node.url, await ticket('ann'));
  const events: Envelope[] = [];
  const unknown: AnyEnvelope[] = [];
  const subscription = connection.subscribe(`job:${job}`, {
    onEvent: (event) => events.push(event),
    onUnknownEvent: (event) => unknown.push(event),
  });
  const later = { ...progress(2), type: 'job.explained', data: { why: 'x' } } as unknown as StoredEvent;
  await world.append('ann', job, progress(1), later);
  await waitFor('both events', () => events.length + unknown.length === 2);
  expect(percents(events)).toEqual([1]);
  expect(unknown).toEqual([expect.objectContaining({ type: 'job.explained', data: { why: 'x' } })]);
  expect(subscription.lastId).toBe(unknown[0]?.id);
  await world.append('ann', job, progress(3));
  await waitFor('the event after it', () => events.length === 2);
});

test('a client that subscribes from the present receives no history, and every later event', async () => {
  const node = await world.node();
  const job = await world.job('ann', { state: 'active' });
  await world.append('ann', job, progress(1), progress(2));
  for (const user of ['ann', 'new']) {
    const { connection } = client(node.url, await ticket(user));
    const events: Envelope[] = [];
    let truncated = false;
    connection.subscribe(`user:${user}`, {
      after: PRESENT,
      onEvent: (event) => events.push(event),
      onTruncated: () => {
        truncated = true;
      },
    });
    await waitFor('the answer', () => truncated && (user === 'new' || events.length > 0));
    const [first] = events.splice(0);
    expect(first?.type).toBe(user === 'ann' ? 'job.snapshot' : undefined);
    const own = user === 'ann' ? job : await world.job(user);
    await world.append(user, own, progress(3), progress(4));
    await waitFor('both events', () => events.length === 2);
    expect(percents(events)).toEqual([3, 4]);
  }
});

test('a ticket that is permanently refused closes the connection and reports the reason', async () => {
  const node = await world.node();
  const { connection, refusals } = client(node.url, 'nonsense');
  await waitFor('the refusal', () => refusals.length === 1);
  expect(refusals[0]?.code).toBe('unauthenticated');
  expect(connection.state).toBe('closed');
});

test('a ticket that cannot be fetched is fetched again', async () => {
  const node = await world.node();
  let tries = 0;
  const { connection, refusals } = client(node.url, async () => {
    tries += 1;
    if (tries < 3) throw new Error('the edge is away');
    return ticket('ann');
  });
  await waitFor('the connection', () => connection.state === 'live');
  expect(refusals.map(({ code }) => code)).toEqual(['unauthenticated', 'unauthenticated']);
});

test('a room that is unavailable is opened later; one that does not exist is refused', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  await world.append('ann', job, progress(1));
  const { connection, refusals } = client(node.url, await ticket('ann'));
  await waitFor('the connection', () => connection.state === 'live');
  await world.queue.kill();
  const events: Envelope[] = [];
  connection.subscribe(`job:${job}`, { onEvent: (event) => events.push(event) });
  await waitFor('the first refusal', () => refusals.length > 0);
  expect(refusals[0]).toMatchObject({ code: 'unavailable', room: `job:${job}` });
  await world.queue.restart();
  await waitFor('the room to be opened', () => events.length === 1);
  connection.subscribe('job:unknown', { onEvent: () => undefined });
  await waitFor('not found', () => refusals.at(-1)?.room === 'job:unknown');
  expect(refusals.at(-1)).toMatchObject({ code: 'not_found', room: 'job:unknown' });
});

test('a room that is left and subscribed to again replays from its first event without gaps', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  await world.append('ann', job, ...upTo(50).map(progress));
  const { connection } = client(node.url, await ticket('ann'));
  for (let round = 0; round < 5; round++) {
    const events: Envelope[] = [];
    const { unsubscribe } = connection.subscribe(`job:${job}`, { onEvent: (event) => events.push(event) });
    expect(() => connection.subscribe(`job:${job}`, { onEvent: () => undefined })).toThrow('Already');
    await waitFor('some events', () => events.length > 0);
    if (round < 4) unsubscribe();
    else await waitFor('all events', () => events.length === 50);
    expect(percents(events)).toEqual(upTo(events.length));
  }
});

test('a lost log is reported before the snapshot, and later events are delivered', async () => {
  const node = await world.node();
  const job = await world.job('ann');
  await world.append('ann', job, progress(1), progress(2));
  const { connection } = client(node.url, await ticket('ann'));
  const seen: string[] = [];
  await world.realtime.client.flushall();
  await world.queue.client.hset(keys.job('ann', job), { state: 'active' });
  connection.subscribe(`job:${job}`, {
    after: '9999999999999-0',
    onEvent: ({ type }) => seen.push(type),
    onTruncated: () => seen.push('truncated'),
  });
  await waitFor('the snapshot', () => seen.length === 2);
  await world.append('ann', job, progress(3));
  await waitFor('the event', () => seen.length === 3);
  expect(seen).toEqual(['truncated', 'job.snapshot', 'job.progress']);
});
