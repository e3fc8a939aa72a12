import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { createHooks, type Hooks } from '../testing/hooks.ts';
import { type Receiver, startReceiver } from '../testing/receiver.ts';
import { AddressRefusedError, createCheckedLookup, type Resolve, resolvePublic } from './address.ts';

const never = new AbortController().signal;
const check = (url: string, resolve: Resolve = resolvePublic, allow: string[] = []) =>
  createCheckedLookup(new URL(url), allow, resolve, never);

describe('a receiver is refused', () => {
  test.each([
    'http://127.0.0.1/',
    'http://127.8.8.8:8080/',
    'http://10.1.2.3/',
    'http://172.16.0.1/',
    'http://192.168.1.1/',
    'http://100.64.0.1/',
    'http://169.254.169.254/latest/meta-data/',
    'http://0.0.0.0/',
    'http://198.18.0.1/',
    'http://224.0.0.1/',
    'http://255.255.255.255/',
    'http://2130706433/',
    'http://0x7f000001/',
    'http://0177.0.0.1/',
    'http://0x7f.1/',
    'http://127.1/',
    'http://①②⑦.0.0.1/',
    'http://[::1]/',
    'http://[::]/',
    'http://[::127.0.0.1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[::ffff:a9fe:a9fe]/',
    'http://[64:ff9b::10.0.0.1]/',
    'http://[2002:7f00:1::]/',
    'http://[fe80::1]/',
    'http://[fd00:ec2::254]/',
    'http://[fec0::1]/',
    'http://[ff02::1]/',
    'https://localhost/',
    'https://LOCALHOST./',
    'https://any.localhost/',
  ])('at %s', async (url) => {
    await expect(check(url)).rejects.toThrow(AddressRefusedError);
  });

  test.each([[['10.0.0.1']], [['8.8.8.8', '192.168.0.1']], [['2606:4700::1111', '::1']]])(
    'whose name leads to %j',
    async (addresses) => {
      await expect(check('https://hooks.test/', async () => addresses)).rejects.toThrow(AddressRefusedError);
    },
  );

  test('next to an allowed range', async () => {
    const allow = ['127.0.0.1/32', 'fd00::/8'];
    for (const url of ['http://127.0.0.1/', 'http://[::ffff:127.0.0.1]/', 'http://[fd12::1]/']) {
      await expect(check(url, resolvePublic, allow)).resolves.toBeTypeOf('function');
    }
    await expect(check('http://127.0.0.2/', resolvePublic, allow)).rejects.toThrow(AddressRefusedError);
    await expect(check('http://[fe80::1]/', resolvePublic, allow)).rejects.toThrow(AddressRefusedError);
  });
});

test('a receiver with a public address is accepted', async () => {
  await expect(check('https://8.8.8.8/')).resolves.toBeTypeOf('function');
  await expect(check('https://hooks.test/', async () => ['8.8.8.8', '2606:4700::1'])).resolves.toBeTypeOf(
    'function',
  );
});

describe('in the delivery', () => {
  let hooks: Hooks;
  let receiver: Receiver;
  beforeAll(async () => {
    hooks = await createHooks();
    receiver = await startReceiver();
  });
  afterEach(async () => {
    await hooks.rest();
    await hooks.queue.obliterate({ force: true });
    hooks.lines.length = 0;
    receiver.received.length = 0;
  });
  afterAll(async () => {
    await receiver?.stop();
    await hooks?.stop();
  });
  const refusalOf = async (url: string) => {
    const ref = await hooks.job(url);
    await hooks.run(hooks.records, ref, { state: 'completed' });
  };

  test.each(['127.0.0.1', 'localhost', '2130706433', '[::1]', '[::ffff:127.0.0.1]', 'name.test'])(
    'a webhook to %s is dropped without a connection, and the log names only the host',
    async (host) => {
      hooks.deliver({
        allow: [],
        resolve: async (name, signal) => (name === 'name.test' ? ['127.0.0.1'] : resolvePublic(name, signal)),
      });
      await refusalOf(`http://${host}:${receiver.port}/secret-path?secret-query`);
      await waitFor('both to be dropped', async () => (await hooks.queue.getFailedCount()) === 2);
      expect(receiver.received).toHaveLength(0);
      expect(hooks.lines.filter((line) => line.includes('"why":"refused"'))).toHaveLength(2);
      expect(hooks.lines.join()).not.toContain('secret');
    },
  );

  test('a name whose DNS changes after the check is connected to at the checked address', async () => {
    let asked = 0;
    hooks.deliver({
      resolve: async () => {
        asked += 1;
        return asked % 2 === 1 ? ['127.0.0.1'] : ['127.0.0.2'];
      },
    });
    const ref = await hooks.job(`http://name.test:${receiver.port}/`);
    await hooks.records.jobs.claim(ref, 0);
    await waitFor('it', () => receiver.received.length === 1);
    expect(receiver.received[0]?.headers.host).toBe(`name.test:${receiver.port}`);
    expect(asked).toBe(1);
  });

  test('a webhook to a name that does not resolve is tried again', async () => {
    let asked = 0;
    hooks.deliver({
      resolve: async () => {
        asked += 1;
        if (asked === 1) throw Object.assign(new Error('not found'), { code: 'ENOTFOUND' });
        return ['127.0.0.1'];
      },
    });
    const ref = await hooks.job(`http://name.test:${receiver.port}/`);
    await hooks.records.jobs.claim(ref, 0);
    await waitFor('it', () => receiver.received.length === 1);
  });
});
