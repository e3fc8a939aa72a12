import { execFileSync } from 'node:child_process';
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type Docker from 'dockerode';
import { debootstrap } from './desktop/debootstrap.ts';
import { exists, follow, pull } from './docker.ts';

export type Report = (step: string, detail?: string) => void;

/** The Debian of Node's image that the Dockerfile names. */
const SUITE = 'bookworm';
const DEBIAN = `warmwind/debian:${SUITE}`;
/** libatomic1: Node's binary needs it. */
const PACKAGES = ['ca-certificates', 'libatomic1', 'tini'];
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** The image that the Dockerfile names as the default of NODE. */
async function pinned(): Promise<string> {
  const dockerfile = await readFile(join(import.meta.dirname, 'Dockerfile'), 'utf8');
  const image = /^ARG NODE=(\S+)$/m.exec(dockerfile)?.[1];
  if (!image) throw new Error('the Dockerfile names no NODE');
  return image;
}

/**
 * The base image of services: Node's own when it can be pulled, else an equal one of Debian's packages and of
 * the Node and npm with which this project's packages are installed.
 */
export async function nodeImage(docker: Docker, report: Report, signal: AbortSignal): Promise<string> {
  const official = await pinned();
  const own = `warmwind/node:${process.versions.node}`;
  for (const known of [official, own]) if (await exists(docker, known)) return known;
  report(`pulling ${official}`);
  if (await pull(docker, official, (line) => report(`pulling ${official}`, line))) return official;
  await debian(docker, report, signal);
  report('putting Node into it');
  await putNode(docker, own, signal);
  return own;
}

/** A minimal Debian, from the mirror that this machine's apt is configured for. */
export async function debian(docker: Docker, report: Report, signal: AbortSignal): Promise<string> {
  if (await exists(docker, DEBIAN)) return DEBIAN;
  const [repo, tag] = DEBIAN.split(':');
  await debootstrap({
    suite: SUITE,
    packages: PACKAGES,
    signal,
    onStep: (step, count) => report('making a Debian base with debootstrap', `${count} ${step}`),
    consume: async (tar) => {
      const stream = await docker.importImage(tar, { repo, tag, abortSignal: signal });
      await follow(stream, signal, () => undefined);
    },
  });
  return DEBIAN;
}

async function putNode(docker: Docker, image: string, signal: AbortSignal): Promise<void> {
  const context = await mkdtemp(join(tmpdir(), 'warmwind-node-'));
  const at = (name: string) => join(context, name);
  try {
    await copyFile(process.execPath, at('node'));
    await cp(npmFolder(), at('npm'), { recursive: true });
    // The certificates that this machine trusts: its path to npm may pass a proxy of its own.
    await copyFile(CERTIFICATES, at('certificates.crt'));
    await writeFile(
      at('Dockerfile'),
      `FROM ${DEBIAN} AS system
RUN useradd --uid 1000 --user-group --create-home node \\
 && rm -rf /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /usr/share/i18n /usr/lib/*/gconv \\
    /var/lib/apt/lists/* /var/cache/* /var/log/* /debootstrap \\
 && mkdir -p /var/cache/apt/archives/partial /var/lib/apt/lists/partial
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY certificates.crt ${CERTIFICATES}
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm

FROM scratch
COPY --from=system / /
ENV PATH=/usr/local/bin:/usr/bin:/bin NODE_EXTRA_CA_CERTS=${CERTIFICATES}
`,
    );
    const src = ['Dockerfile', 'node', 'npm', 'certificates.crt'];
    const options = { t: image, networkmode: 'host', forcerm: true, abortSignal: signal };
    await follow(await docker.buildImage({ context, src }, options), signal, () => undefined);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

/** The npm of PATH, next to its Node. */
function npmFolder(): string {
  const bin = execFileSync('sh', ['-c', 'readlink -f "$(command -v npm)"'], { encoding: 'utf8' }).trim();
  return resolve(dirname(bin), '..');
}
