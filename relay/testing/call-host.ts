import { randomUUID } from 'node:crypto';
import { containerAbortCall } from '@warmwind/shared/contract/commands/container-abort-call';
import { createLog } from '@warmwind/shared/runtime/node/log';
import { disconnect } from '@warmwind/shared/runtime/node/redis';
import { Redis } from 'ioredis';
import type { BinaryAnswer, Call, CallHandler, CallRoute } from '../../workers/calls/call.ts';
import { Claims } from '../../workers/calls/claims.ts';
import { CallHost } from '../../workers/calls/host.ts';
import { OpenCalls } from '../../workers/calls/open-calls.ts';
import { Replies } from '../../workers/calls/replies.ts';
import { createAbortCall } from '../../workers/commands/abort-call.ts';
import type { World } from './world.ts';

/** A received call, which the test answers. */
type Taken = { call: Call; answer: (answer: object) => void; fail: (error: Error) => void };

/** A host of containers that takes calls as a worker does; the test answers all but aborts. */
export class TestCallHost {
  /** The calls that have reached a handler. */
  readonly taken: Taken[] = [];
  readonly host: CallHost;

  private constructor(host: (handle: CallHandler) => CallHost) {
    this.host = host(
      (call) =>
        new Promise((answer, fail) => {
          this.taken.push({ call, answer, fail });
        }),
    );
  }

  /** @param commands the calls that it handles */
  static async start(
    world: Pick<World, 'onTidy'> & { realtime: { url: string } },
    commands: readonly CallRoute['command'][],
  ): Promise<TestCallHost> {
    const log = createLog('test-host');
    const connect = () => {
      const redis = new Redis(world.realtime.url, { maxRetriesPerRequest: null });
      redis.on('error', () => undefined);
      return redis;
    };
    const [redis, bulk, subscriber] = [connect(), connect(), connect()];
    const open = new OpenCalls();
    const test = new TestCallHost(
      (handle) =>
        new CallHost({
          open,
          routes: commands.map((command) => ({
            command,
            handle: command === containerAbortCall ? (createAbortCall(open) as CallHandler) : handle,
          })),
          claims: new Claims({ redis, holder: randomUUID(), log }),
          replies: new Replies(bulk, log),
          subscriber,
          onCall: () => undefined,
          awake: async () => undefined,
          log,
        }),
    );
    test.host.start();
    world.onTidy(async () => {
      test.host.forgetAll();
      for (const { fail } of test.taken) fail(new Error('the test is over'));
      await test.host.close();
      await Promise.all([redis, bulk, subscriber].map((connection) => disconnect(connection)));
    });
    return test;
  }
}

/** The answer of a host with an image. */
export const picture = (bytes: Buffer, format = 'png'): BinaryAnswer => ({
  type: `image/${format}`,
  headers: { 'X-Screen-Width': '4', 'X-Screen-Height': '3' },
  bytes,
});
