import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ENGINE_WITHIN_MS } from '../../infra/quality/testing/docker.ts';
import { waitFor } from '../../infra/quality/testing/wait.ts';
import { startTestDesktop, type TestDesktop } from '../testing/desktop.ts';
import { SupervisorError } from './error.ts';

let desktop: TestDesktop;
beforeAll(async () => {
  desktop = await startTestDesktop();
}, ENGINE_WITHIN_MS);
afterAll(() => desktop?.remove());

type Method = 'GET' | 'PUT' | 'DELETE';
type Answer = { status: number; body: Buffer; type?: string | undefined; message?: string };

/** Sends one request for a file. A refusal is an answer too. */
async function ask(
  method: Method,
  path: string,
  {
    body,
    ...query
  }: (Record<string, string> & { body?: never }) | { body?: Buffer | Readable; archive?: string } = {},
): Promise<Answer> {
  const search = new URLSearchParams({ path, ...(query as Record<string, string>) });
  const content = body === undefined ? {} : { body: body as Buffer };
  try {
    const answer = await desktop.supervisor.request({ method, path: `/files?${search}`, ...content });
    const type = answer.headers['x-file-type'];
    return { status: answer.statusCode ?? 0, body: await buffer(answer), type: type as string | undefined };
  } catch (error) {
    if (!(error instanceof SupervisorError)) throw error;
    return { status: error.status ?? 0, body: Buffer.from(error.code), message: error.message };
  }
}

const put = (path: string, text: string | Buffer) => ask('PUT', path, { body: Buffer.from(text) });
const read = async (path: string) => {
  const { status, body } = await ask('GET', path);
  return status === 200 ? body.toString() : status;
};
const list = async (path: string, query: Record<string, string> = {}) =>
  JSON.parse((await ask('GET', path, query)).body.toString()) as {
    items: { name: string; type: string; size: number; modifiedAt: string }[];
    next?: string;
  };

test('a file is written with its folders, read back, replaced with its permissions, and deleted', async () => {
  expect((await put('made/by/put.sh', 'one')).status).toBe(201);
  await desktop.inside('chmod 755 /home/user/made/by/put.sh');
  expect((await put('made/by/put.sh', 'two')).status).toBe(200);
  expect(await read('made/by/put.sh')).toBe('two');
  expect(await desktop.inside('stat -c "%a %U %s" /home/user/made/by/put.sh')).toBe('755 user 3');
  expect((await ask('DELETE', 'made')).status).toBe(204);
  expect(await read('made/by/put.sh')).toBe(404);
});

test.each([
  'with space.txt',
  'two\nlines',
  'ключ-鍵-🔑',
  'x'.repeat(255),
  '-rf',
  '*?[a]',
  'percent%2e%2e%2fname',
  '..three dots',
])('the name %j is kept byte by byte', async (name) => {
  expect((await put(`names/${name}`, name)).status).toBe(201);
  expect(await read(`names/${name}`)).toBe(name);
  expect((await list('names')).items.map((item) => item.name)).toEqual([name]);
  expect((await ask('DELETE', `names/${name}`)).status).toBe(204);
});

test('a listing has type, size and time, in pages', async () => {
  await desktop.inside(
    'mkdir -p /home/user/page/sub && cd /home/user/page && touch -d 2024-05-06T07:08:09Z a && printf 12345 > b && ln -s a c && mkfifo d',
  );
  const { items } = await list('page');
  expect(items.map(({ name, type }) => [name, type])).toEqual([
    ['a', 'file'],
    ['b', 'file'],
    ['c', 'link'],
    ['d', 'other'],
    ['sub', 'directory'],
  ]);
  expect(items[0]).toMatchObject({ size: 0, modifiedAt: '2024-05-06T07:08:09.000Z' });
  expect(items[1]?.size).toBe(5);
  const first = await list('page', { limit: '2' });
  const second = await list('page', { limit: '2', after: first.next ?? '' });
  expect([first.next, second.items.map(({ name }) => name), second.next]).toEqual(['b', ['c', 'd'], 'd']);
});

describe('nothing outside of the home is reached', () => {
  beforeAll(async () => {
    await desktop.inside(
      `mkdir -p /home/user/t/deep /tmp/outside && cd /home/user/t && printf secret > /tmp/outside/secret && printf in > inside &&
      ln -s /etc etc && ln -s etc chain && ln -s ../../../etc/passwd up && ln -s /proc/self/root root && ln -s /proc/self/cwd cwd &&
      ln -s /tmp/outside out && ln -s loop loop && ln -s inside ok && ln -s deep/../inside dotted && ln -s nowhere dangling &&
      mkfifo fifo && ln inside hard && perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("sock"))'`,
    );
  });

  test.each([
    ['t/../../etc/passwd', 400],
    ['..', 400],
    ['../user/t/inside', 400],
    ['/etc/passwd', 400],
    ['t//inside', 400],
    ['t/./inside', 400],
    ['t/', 400],
    ['%2e%2e%2fetc%2fpasswd', 404],
    ['t/etc/passwd', 404],
    ['t/chain/passwd', 404],
    ['t/up', 404],
    ['t/root/etc/passwd', 404],
    ['t/cwd/inside', 404],
    ['t/out/secret', 404],
    ['t/loop', 404],
    ['t/dangling', 404],
    ['t/inside/below', 404],
    ['t/fifo', 409],
    ['t/sock', 409],
    [`${'d/'.repeat(1900)}file`, 404],
    [`t/${'x'.repeat(256)}`, 400],
    ['x/'.repeat(2100), 400],
  ])('%j is refused', async (path, status) => {
    expect((await ask('GET', path)).status).toBe(status);
    expect((await ask('GET', path)).body.toString()).not.toContain('root:');
  });

  test('a path with a null character is refused', async () => {
    expect((await ask('GET', 't/inside\0.txt')).status).toBe(400);
  });

  test('a link that stays below, and a hard link, are followed', async () => {
    expect(await Promise.all(['t/ok', 't/hard', 't/dotted'].map(read))).toEqual(['in', 'in', 'in']);
  });

  test('a device is not opened', async () => {
    // The home has no devices; links to those of the container lead out of it.
    await desktop.inside('ln -s /dev/zero /home/user/t/zero');
    expect((await ask('GET', 't/zero')).status).toBe(404);
  });

  test.each(['t/etc/new', 't/out/new', 't/root/tmp/new', 't/chain/new', 't/up/new'])(
    'a file can not be written through %j',
    async (path) => {
      expect((await put(path, 'x')).status).toBeGreaterThanOrEqual(404);
      expect(await desktop.inside('ls /tmp/outside')).toBe('secret');
    },
  );

  test('a link at the end of the path is replaced or deleted, and what it leads to stays', async () => {
    await desktop.inside(
      'ln -s /tmp/outside/secret /home/user/t/end && ln -s /tmp/outside /home/user/t/folder',
    );
    expect((await put('t/end', 'mine')).status).toBe(200);
    expect((await ask('DELETE', 't/folder')).status).toBe(204);
    expect(await desktop.inside('cat /tmp/outside/secret; cat /home/user/t/end')).toBe('secretmine');
  });

  test('a tree is deleted without following its links', async () => {
    await desktop.inside(
      'mkdir -p /home/user/gone/a && ln -s /tmp/outside /home/user/gone/a/out && ln -s .. /home/user/gone/up',
    );
    expect((await ask('DELETE', 'gone')).status).toBe(204);
    expect(
      await desktop.inside('cat /tmp/outside/secret; ls -d /home/user/gone 2>&1 | tail -c 26'),
    ).toContain('secret');
    expect((await ask('DELETE', '')).status).toBe(400);
  });

  test('a folder that is swapped for a link meanwhile gives its own files or none', async () => {
    await desktop.inside(
      `cd /home/user && mkdir -p race/real race/other && printf mine > race/real/secret && ln -s /tmp/outside race/link && printf mine > race/other/secret`,
    );
    const id = `swap-${randomBytes(4).toString('hex')}`;
    const swap =
      'cd /home/user/race; while :; do mv -T real hold; mv -T link real; mv -T real link; mv -T hold real; done';
    await desktop.supervisor.start(id, { cmd: ['sh', '-c', swap], background: true });
    const seen = new Set<unknown>();
    for (let i = 0; i < 60; i++) {
      seen.add(await read('race/real/secret'));
      seen.add((await put('race/real/new', 'x')).status);
    }
    await desktop.supervisor.end(id, { forget: true });
    expect([...seen].filter((one) => one === 'secret')).toEqual([]);
    expect(await desktop.inside('ls /tmp/outside')).toBe('secret');
  });
});

test('a folder is no file, and a file no folder', async () => {
  await put('kind/file', 'x');
  expect((await put('kind', 'x')).status).toBe(409);
  expect((await put('kind/file/below', 'x')).status).toBe(409);
  expect((await put('', 'x')).status).toBe(409);
  expect((await ask('GET', 'kind/file', { archive: 'tar' })).status).toBe(409);
  expect((await ask('GET', 'kind')).type).toBe('directory');
});

test('a body that breaks off leaves nothing, and one that is too large is refused', async () => {
  await put('atomic/file', 'before');
  const interrupted = Readable.from(
    (async function* () {
      yield randomBytes(300_000);
      throw new Error('broke off');
    })(),
  );
  await ask('PUT', 'atomic/file', { body: interrupted }).catch(() => undefined);
  const tar = Readable.from(
    (async function* () {
      yield (await ask('GET', 't', { archive: 'tar' })).body.subarray(0, 700);
      throw new Error('broke off');
    })(),
  );
  await ask('PUT', 'atomic', { body: tar, archive: 'tar' }).catch(() => undefined);
  await waitFor(
    'the end of the helpers',
    async () => (await desktop.inside('pgrep -fc " [f]iles PUT"')) === '0',
  );
  expect(await desktop.inside('cd /home/user/atomic && cat file && ls -A')).toBe('beforefile');
  const large = Readable.from(
    (function* () {
      for (let i = 0; i < 65; i++) yield Buffer.alloc(2 ** 20);
    })(),
  );
  expect(await ask('PUT', 'atomic/large', { body: large })).toMatchObject({ status: 413 });
  expect((await list('atomic')).items.map(({ name }) => name)).toEqual(['file']);
});

test('a full home is reported as such, and nothing is left', async () => {
  const size = 40 * 2 ** 20;
  const fill = (name: string) => ask('PUT', name, { body: Buffer.alloc(size) });
  const statuses = [];
  for (const name of ['fill/1', 'fill/2', 'fill/3', 'fill/4']) statuses.push(await fill(name));
  expect(statuses.at(-1)).toMatchObject({ status: 507, body: Buffer.from('insufficient_storage') });
  expect((await list('fill')).items.every((item) => item.size === size)).toBe(true);
  expect((await ask('DELETE', 'fill')).status).toBe(204);
});

describe('a tree', () => {
  const sumOf = (folder: string) =>
    desktop.inside(`cd /home/user/${folder} && tar --sort=name --mtime=@0 -cf - . | sha256sum`);

  test('comes back as it was', async () => {
    await desktop.inside(
      `mkdir -p "/home/user/tree/sub dir/empty" && cd /home/user/tree && head -c 300000 /dev/urandom > "sub dir/random" &&
      printf x > "$(printf 'new\\nline')" && ln -s "sub dir/random" link && ln -s ../link "sub dir/up" && chmod 750 "sub dir" && printf y > run && chmod 755 run`,
    );
    const { body, type } = await ask('GET', 'tree', { archive: 'tar' });
    expect(type).toBe('archive');
    expect((await ask('PUT', 'copy/of', { archive: 'tar', body })).status).toBe(200);
    expect(await sumOf('copy/of')).toBe(await sumOf('tree'));
    await put('copy/of/more', 'kept');
    await put('copy/of/run', 'changed');
    expect((await ask('PUT', 'copy/of', { archive: 'tar', body })).status).toBe(200);
    expect([await read('copy/of/more'), await read('copy/of/run')]).toEqual(['kept', 'y']);
  });

  test.each([
    ['an absolute name', `tar -Pcf - --transform 's,^x,/tmp/outside/x,' x`],
    ['a name with dots', `tar -Pcf - --transform 's,^x,../../x,' x`],
    ['a link to an absolute path', 'ln -s /tmp/outside l; tar -cf - l'],
    ['a link that leads out', 'ln -s ../../x l; tar -cf - l'],
    ['a link that leads out after a name', 'mkdir d; ln -s d/../../x l; tar -cf - l'],
    ['a member below a link', `mkdir d; ln -s d l; tar -cf q l; tar -rf q --transform 's,^x,l/x,' x; cat q`],
    ['a hard link', 'ln x h; tar -cf - x h'],
    ['a pipe', 'mkfifo p; tar -cf - p'],
    ['a set-id file', 'chmod 4755 x; tar -cf - x'],
  ])('with %s is refused by its name, and nothing of it is written', async (_name, command) => {
    const archive = await desktop.inside(
      `rm -rf /tmp/w && mkdir /tmp/w && cd /tmp/w && printf x > x && (${command}) 2>/dev/null | base64 -w0`,
    );
    const body = Buffer.from(archive, 'base64');
    const answer = await ask('PUT', 'hostile', { archive: 'tar', body });
    expect(answer).toMatchObject({ status: 400, message: expect.stringMatching(/^The member "/) });
    expect(await desktop.inside('ls -A /home/user/hostile /tmp/outside 2>/dev/null | tail -1')).toBe(
      'secret',
    );
  });

  test('that is cut, or no archive, is refused', async () => {
    const { body } = await ask('GET', 'tree', { archive: 'tar' });
    expect((await ask('PUT', 'cut', { archive: 'tar', body: body.subarray(0, 100_000) })).status).toBe(400);
    expect(
      (await ask('PUT', 'cut', { archive: 'tar', body: Buffer.from('no archive'.repeat(100)) })).status,
    ).toBe(400);
    expect(await read('cut')).toBe(404);
  });
});

test('the helper has no capability and no descriptor beyond its own', async () => {
  let more: (() => void) | undefined;
  const held = new Promise<void>((resolve) => {
    more = resolve;
  });
  const body = Readable.from(
    (async function* () {
      yield Buffer.from('x');
      await held;
    })(),
  );
  const written = ask('PUT', 'held', { body });
  await waitFor('the helper', async () => (await desktop.inside('pgrep -fc " [f]iles PUT"')) === '1');
  const seen = await desktop.inside(
    'p=$(pgrep -f " [f]iles PUT"); grep -E "^(Uid|CapEff|CapBnd|NoNewPrivs)" /proc/$p/status | tr "\\t" " "; ls /proc/$p/fd | wc -l',
  );
  more?.();
  expect((await written).status).toBe(201);
  expect(seen).toMatch(/^Uid: ([1-9]\d*) \1 \1 \1\nCapEff: 0+\nCapBnd: 0+\nNoNewPrivs: 1\n/);
  expect(Number(seen.split('\n').at(-1))).toBeLessThanOrEqual(12);
});

test('64 KB to 5 MB come back with their checksum', async () => {
  for (const size of [0, 1, 65_536, 5_000_000]) {
    const bytes = randomBytes(size);
    await put('sum', bytes);
    const { body } = await ask('GET', 'sum');
    expect(createHash('sha256').update(body).digest('hex')).toBe(
      createHash('sha256').update(bytes).digest('hex'),
    );
  }
});
