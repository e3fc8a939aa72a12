import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished, test } from 'vitest';
import { debootstrap } from './desktop/debootstrap.ts';

const SUITE = 'trixie';
const options = {
  suite: SUITE,
  packages: ['tini'],
  onStep: () => undefined,
  signal: AbortSignal.timeout(60_000),
  consume: async () => {
    throw new Error('a file system was made');
  },
};

test('a base is not made without the keys of its packages, and the remedy is named', async ({ expect }) => {
  const made = debootstrap({ ...options, keyring: '/no/such/keyring.gpg' });
  await expect(made).rejects.toThrow(/apt-get install -y debian-archive-keyring/);
});

test('a base is not made from unsigned package lists', async ({ expect }) => {
  const mirror = createServer((request, response) => {
    const release = request.url === `/dists/${SUITE}/Release`;
    response.statusCode = release ? 200 : 404;
    response.end(
      release ? `Suite: stable\nCodename: ${SUITE}\nComponents: main\nArchitectures: amd64\n` : '',
    );
  });
  await new Promise<void>((resolve) => mirror.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void mirror.close());
  const { port } = mirror.address() as AddressInfo;
  const made = debootstrap({ ...options, mirror: `http://127.0.0.1:${port}` });
  await expect(made).rejects.toThrow(/release signature file/);
});
