import type { Container } from '@warmwind/shared/contract/containers';
import type { Job } from '@warmwind/shared/contract/jobs';
import type { Envelope, EventType } from '@warmwind/shared/contract/rooms';
import { expect, test } from 'vitest';
import { envelopeOf } from '../../infra/quality/testing/events.ts';
import { emptyInventory, SHOWN, withDesktops, withEvents, withJobs } from './inventory.ts';

const BEGIN = Date.UTC(2026, 0, 1);
const at = (second: number) => new Date(BEGIN + second * 1000).toISOString();
const job = (n: number, over: Partial<Job> = {}): Job => ({
  id: `j${n}`,
  kind: 'inference',
  state: 'queued',
  progress: 0,
  run: 1,
  attemptsMade: 0,
  createdAt: at(n),
  ...over,
});
const desktop = (n: number, over: Partial<Container> = {}): Container => ({
  id: `d${n}`,
  name: `desktop ${n}`,
  state: 'requested',
  image: 'desktop',
  incarnation: 0,
  width: 1280,
  height: 720,
  createdAt: at(n),
  jobId: `j${n}`,
  ...over,
});
const event = (type: EventType, second: number, data: object, rest = {}): Envelope =>
  envelopeOf(type, data, {
    id: `${BEGIN + second * 1000}-0`,
    room: 'user:ada',
    time: at(second),
    ...rest,
  });
const jobEvent = (type: EventType, n: number, second = n, data = {}, run = 1) =>
  event(type, second, { jobId: `j${n}`, ...data }, { run });

test('hundreds of replayed jobs are made from their events alone; the newest and the open ones stay', () => {
  const ids = Array.from({ length: 250 }, (_, n) => n);
  const events = ids.flatMap((n) => [
    jobEvent('job.queued', n),
    jobEvent('job.active', n, n + 0.2),
    jobEvent('job.progress', n, n + 0.3, { percent: 40, message: 'works' }),
    ...(n === 7 ? [] : [jobEvent('job.completed', n, n + 0.5, { result: { text: `answer ${n}` } })]),
  ]);
  const { jobs } = withEvents(emptyInventory(), events);
  expect([...jobs.keys()]).toEqual([
    ...ids
      .reverse()
      .slice(0, SHOWN)
      .map((n) => `j${n}`),
    'j7',
  ]);
  expect(jobs.get('j249')).toMatchObject({ state: 'completed', progress: 100, createdAt: at(249) });
  expect(jobs.get('j7')).toMatchObject({ state: 'active', progress: 40 });
});

test('events that a list already includes change nothing', () => {
  const done = job(1, {
    state: 'failed',
    run: 2,
    finishedAt: at(9),
    error: { code: 'x', message: 'm', retryable: false },
  });
  const listed = withJobs(emptyInventory(), [done]);
  const replayed = [
    jobEvent('job.queued', 1),
    jobEvent('job.completed', 1, 2, { result: 1 }),
    jobEvent('job.active', 1, 5, {}, 2),
  ];
  expect(withEvents(listed, replayed).jobs.get('j1')).toEqual(done);
});

test('an older job that is not listed is shown below the others while it is open', () => {
  const listed = withJobs(
    emptyInventory(),
    Array.from({ length: SHOWN }, (_, n) => job(100 + n, { state: 'completed' })),
  );
  const active = withEvents(listed, [jobEvent('job.active', 3, 500)]);
  expect([...active.jobs.keys()].at(-1)).toBe('j3');
  expect(withEvents(active, [jobEvent('job.completed', 3, 501)]).jobs.has('j3')).toBe(false);
});

test('a further run of a job begins again, without the end of the last run', () => {
  const failed = withJobs(emptyInventory(), [job(1, { state: 'failed', finishedAt: at(2), progress: 60 })]);
  const { jobs } = withEvents(failed, [jobEvent('job.queued', 1, 3, {}, 2)]);
  expect(jobs.get('j1')).toEqual(job(1, { run: 2 }));
});

test('a desktop known only from events is marked until a list has it', () => {
  const { desktops, incomplete } = withEvents(emptyInventory(), [
    event('container.requested', 1, { containerId: 'd1' }),
    event('container.started', 2, { containerId: 'd1', width: 800, height: 600, expiresAt: at(99) }),
  ]);
  expect(desktops.get('d1')).toMatchObject({
    state: 'running',
    width: 800,
    createdAt: at(1),
    expiresAt: at(99),
  });
  expect([...incomplete]).toEqual(['d1']);
  const named = withDesktops({ ...emptyInventory(), desktops, incomplete }, [
    desktop(1, { state: 'running' }),
  ]);
  expect(named.desktops.get('d1')?.name).toBe('desktop 1');
  expect(named.incomplete.size).toBe(0);
});

test('a list or snapshot that is older than an end does not revive a desktop or job', () => {
  const listed = withJobs(withDesktops(emptyInventory(), [desktop(1)]), [job(1)]);
  const over = withEvents(listed, [
    event('container.stopped', 5, { containerId: 'd1' }),
    jobEvent('job.completed', 1, 5),
  ]);
  const again = withJobs(withDesktops(over, [desktop(1, { state: 'running' })]), [
    job(1, { state: 'active' }),
  ]);
  expect(again.desktops.get('d1')).toMatchObject({ state: 'stopped', endedAt: at(5) });
  expect(again.jobs.get('j1')?.state).toBe('completed');
  const events = [event('container.starting', 6, { containerId: 'd1' }), jobEvent('job.active', 1, 6)];
  expect(withEvents(again, events)).toEqual(again);
});

test('a start that waits shows its reason and place until it is taken', () => {
  const waiting = { reason: 'memory' as const, position: 3 };
  const active = withJobs(emptyInventory(), [job(1, { state: 'active' })]);
  const waits = withEvents(active, [jobEvent('job.progress', 1, 2, { percent: 0, message: 'w', waiting })]);
  expect(waits.jobs.get('j1')).toMatchObject({ state: 'queued', waiting });
  const next = { ...waiting, position: 1 };
  const moved = withEvents(waits, [jobEvent('job.progress', 1, 3, { percent: 0, waiting: next })]);
  expect(moved.jobs.get('j1')?.waiting).toEqual(next);
  const taken = withEvents(moved, [jobEvent('job.active', 1, 4, { attempt: 1 })]);
  expect(taken.jobs.get('j1')).toMatchObject({ state: 'active' });
  expect(taken.jobs.get('j1')).not.toHaveProperty('waiting');
});

const FINISHED = { createdAt: at(0), finishedAt: at(9), progress: 30, attemptsMade: 1, containerId: 'd2' };
const EXIT = { exitCode: 3, oomKilled: false, output: 'no display' };
const ERROR = { code: 'x', message: 'm', retryable: false };

/** The effect of each event on a job that is active at 30 % and on a running desktop. */
const EFFECTS: Record<EventType, [data: object, job: object, desktop: object]> = {
  'job.queued': [{}, { state: 'queued' }, {}],
  'job.active': [{ attempt: 1 }, { state: 'active' }, {}],
  'job.progress': [{ percent: 70, message: 'nearly' }, { state: 'active', progress: 70 }, {}],
  'job.output': [{ text: 'Once', attempt: 1 }, {}, {}],
  'job.retrying': [{ error: ERROR, attemptsMade: 1, delayMs: 9 }, { state: 'delayed', error: ERROR }, {}],
  'job.completed': [
    { result: { text: 'Hi' } },
    { state: 'completed', progress: 100, result: { text: 'Hi' }, finishedAt: at(5) },
    {},
  ],
  'job.failed': [{ error: ERROR }, { state: 'failed', error: ERROR, finishedAt: at(5) }, {}],
  'job.cancelled': [{}, { state: 'cancelled', finishedAt: at(5) }, {}],
  'job.timed_out': [{ error: ERROR }, { state: 'timed_out', error: ERROR, finishedAt: at(5) }, {}],
  'job.snapshot': [
    { ...job(1, { state: 'timed_out' }), ...FINISHED },
    { state: 'timed_out', ...FINISHED },
    {},
  ],
  'container.requested': [{}, {}, { state: 'requested' }],
  'container.starting': [{}, {}, { state: 'starting' }],
  'container.started': [
    { width: 800, height: 600, expiresAt: at(99) },
    {},
    { state: 'running', width: 800, height: 600, expiresAt: at(99) },
  ],
  'container.extended': [{ expiresAt: at(120) }, {}, { expiresAt: at(120) }],
  'container.paused': [{ by: 'idle' }, {}, { state: 'paused', pausedBy: 'idle' }],
  'container.resumed': [{}, {}, { state: 'running' }],
  'container.stopping': [{ reason: 'idle' }, {}, { state: 'stopping', endReason: 'idle' }],
  'container.stopped': [
    { reason: 'expired' },
    {},
    { state: 'stopped', endReason: 'expired', endedAt: at(5) },
  ],
  'container.failed': [{ error: ERROR, exit: EXIT }, {}, { state: 'failed', endedAt: at(5), exit: EXIT }],
  'container.action': [{ by: { type: 'agent', credential: 'token:t' }, type: 'click', x: 1, y: 2 }, {}, {}],
  'container.lost': [
    { reason: 'engine_restarted' },
    {},
    { state: 'lost', endReason: 'engine_restarted', endedAt: at(5) },
  ],
  'container.snapshot': [
    desktop(1, { state: 'paused', name: 'Mine' }),
    {},
    { state: 'paused', name: 'Mine' },
  ],
};

test.each(Object.keys(EFFECTS) as EventType[])('%s changes its job or desktop, and nothing else', (type) => {
  const [data, jobAfter, desktopAfter] = EFFECTS[type];
  const before = withJobs(
    withDesktops(emptyInventory(), [desktop(1, { state: 'running' }), desktop(2, { state: 'running' })]),
    [job(1, { state: 'active', progress: 30 }), job(2, { state: 'active', progress: 30 })],
  );
  const { desktops, jobs, messages, incomplete } = withEvents(before, [
    type.startsWith('job.') ? jobEvent(type, 1, 5, data) : event(type, 5, { containerId: 'd1', ...data }),
  ]);
  expect(jobs.get('j1')).toMatchObject({ ...before.jobs.get('j1'), ...jobAfter });
  expect(desktops.get('d1')).toMatchObject({ ...before.desktops.get('d1'), ...desktopAfter });
  expect([jobs.get('j2'), desktops.get('d2')]).toEqual([before.jobs.get('j2'), before.desktops.get('d2')]);
  expect([...messages]).toEqual(type === 'job.progress' ? [['j1', 'nearly']] : []);
  expect(incomplete.size).toBe(0);
});
