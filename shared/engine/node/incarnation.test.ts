import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedis, type TestRedis } from '../../../infra/quality/testing/redis.ts';
import { newId } from '../../contract/ids.ts';
import { createLog } from '../../runtime/node/log.ts';
import { runScript } from '../../runtime/node/script.ts';
import { keys } from '../keys.ts';
import { type ContainerRow, containerRow } from '../ledger/rows.ts';
import { unassignContainer } from '../scripts/container.lua.ts';
import { Publisher } from './publisher.ts';
import { Records } from './records.ts';

let redis: TestRedis;
let connection: Redis;
let records: Records;
beforeAll(async () => {
  redis = await startRedis();
  connection = new Redis(redis.url);
  const log = createLog('test');
  records = new Records(connection, new Publisher(connection, log));
});
afterAll(async () => {
  connection.disconnect();
  await redis.stop();
});

const OPERATIONS = [
  ...['place on a', 'place on b', 'place by an old fence', 'give the place up', 'take the placement back'],
  ...['run', 'stop', 'renew', 'restore as it is', 'restore an older row', 'lose and restore'],
] as const;
type Operation = (typeof OPERATIONS)[number];

/** One container in Redis, and the operations on it. */
class Subject {
  readonly ref = { userId: `ann-${newId()}`, containerId: newId() };
  readonly #key = keys.container(this.ref.userId, this.ref.containerId);
  readonly #rows: ContainerRow[] = [];

  async create(): Promise<void> {
    const { userId, containerId: id } = this.ref;
    const fields = { id, userId, state: 'requested', fence: '0', createdAt: Date.now(), spec: '{}' };
    await connection.hset(this.#key, fields);
  }

  async record() {
    const record = await records.containers.get(this.ref);
    if (!record) throw new Error('the record is lost');
    return record;
  }

  /** Performs an operation. @returns the incarnation that the container must have after it */
  async do(operation: Operation): Promise<number> {
    const { ref } = this;
    const { fence, boot, state } = await this.record();
    const row = containerRow(ref.userId, await connection.hgetall(this.#key));
    this.#rows.push(row);
    const place = async (host: string, by: number) => {
      const placing = { fence: by, host, boot: `boot of ${host}`, instanceId: newId() };
      const { verdict } = await records.containers.assign(ref, placing);
      return verdict === 'ok' ? fence + 1 : fence;
    };
    const startedAt = Date.now();
    const size = { width: 800, height: 600 };
    switch (operation) {
      case 'place on a':
        return place('a', fence);
      case 'place on b':
        return place('b', fence);
      case 'place by an old fence':
        return place('a', fence - 1);
      case 'give the place up':
        await records.containers.change(ref, { to: 'requested', fence, from: ['starting'] });
        return fence;
      case 'take the placement back': {
        const [verdict] = await runScript(connection, unassignContainer, ref, { fence, boot });
        return verdict === 'ok' ? fence - 1 : fence;
      }
      case 'run': {
        const running = { to: 'running' as const, startedAt, expiresAt: startedAt + 60_000, ...size };
        await records.containers.change(ref, { ...running, fence, from: ['starting'] });
        return fence;
      }
      case 'stop':
        if (state !== 'requested') await records.containers.change(ref, { to: 'stopping', fence });
        return fence;
      case 'renew':
        await records.containers.touch(ref, fence);
        return fence;
      case 'restore as it is':
        await records.containers.restore(row);
        return fence;
      case 'restore an older row':
        await records.containers.restore(this.#rows[0] ?? row);
        return fence;
      case 'lose and restore':
        await connection.del(this.#key);
        await records.containers.restore(row);
        return fence;
    }
  }
}

test('the incarnation of a container rises by one with each placement, by no other operation, and names one instance', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...OPERATIONS), { maxLength: 25 }), async (operations) => {
      const subject = new Subject();
      await subject.create();
      for (const operation of operations) {
        const before = await subject.record();
        const expected = await subject.do(operation);
        const after = await subject.record();
        expect(after.fence, operation).toBe(expected);
        // While it is placed, a change of the instance or host is another incarnation.
        const moved = after.instanceId !== before.instanceId || after.host !== before.host;
        if (moved && after.host !== '') expect(after.fence, operation).toBe(before.fence + 1);
      }
    }),
    { numRuns: 150 },
  );
});
