import { expect, it } from 'vitest';
import { ModelBusyError, Pool } from './pool.ts';

const never = () => new AbortController().signal;

it('a request that finds nothing free waits in a line of bounded length', async () => {
  const pool = new Pool(['a'], { waiting: 2, withinMs: 10_000 });
  const item = await pool.take(never());
  const order: string[] = [];
  const first = pool.take(never()).then((got) => order.push(`first ${got}`));
  const second = pool.take(never()).then((got) => order.push(`second ${got}`));
  await expect(pool.take(never())).rejects.toThrow(ModelBusyError);
  expect([pool.taken, pool.waiting]).toEqual([1, 2]);
  pool.give(item);
  await first;
  pool.give(item);
  await second;
  expect(order).toEqual(['first a', 'second a']);
  pool.give(item);
  await pool.idle();
  expect([pool.taken, pool.waiting]).toEqual([0, 0]);
});

it('a client that disconnects leaves the line and takes nothing', async () => {
  const pool = new Pool(['a'], { waiting: 2, withinMs: 10_000 });
  const item = await pool.take(never());
  const gone = new AbortController();
  const waits = pool.take(gone.signal);
  gone.abort(new Error('gone'));
  await expect(waits).rejects.toThrow('gone');
  await expect(pool.take(gone.signal)).rejects.toThrow('gone');
  pool.give(item);
  expect(pool.taken).toBe(0);
});

it('a user has a share, and the next user gets a place at the same time', async () => {
  const pool = new Pool(['a', 'b'], { waiting: 9, withinMs: 10_000 });
  const held = await pool.take(never(), 'greedy');
  let second = false;
  const waits = pool.take(never(), 'greedy').then((item) => {
    second = true;
    return item;
  });
  const other = await pool.take(never(), 'other');
  pool.give(other);
  expect([second, pool.taken, pool.waiting]).toEqual([false, 1, 1]);
  pool.give(held);
  pool.give(await waits);
  expect([pool.taken, pool.waiting]).toEqual([0, 0]);
});

it('no request waits longer than the bound', async () => {
  const pool = new Pool(['a'], { waiting: 2, withinMs: 1 });
  await pool.take(never());
  await expect(pool.take(never())).rejects.toThrow('no turn within 1 ms');
  expect(pool.waiting).toBe(0);
});
