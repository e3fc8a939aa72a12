import Docker from 'dockerode';
import { withLock } from '../../engine/lock.ts';
import { exists, follow, pull } from '../docker.ts';
import { debootstrap, SUITE } from './debootstrap.ts';
import { FOLDER, packages, SOURCES, sourceHash } from './source.ts';

const NAME = 'warmwind/desktop';
const SOURCE_LABEL = 'warmwind.source';
const PULLED_BASE = `debian:${SUITE}-slim`;
const OWN_BASE = `warmwind/base:${SUITE}`;
const BUILD_WITHIN_MS = 15 * 60_000;

export type ImageProgress = {
  /** What is being done; changes a handful of times. */
  step: string;
  /** The last line of it: for a status line that is overwritten. */
  detail: string;
  /** Since the build began. */
  seconds: number;
};

type Options = { socket: string; onProgress?: (progress: ImageProgress) => void };
type Report = (step: string, detail?: string) => void;

/**
 * Sees to it that `warmwind/desktop:latest` is the image of this folder's files; builds it when the engine has none
 * (a minute or two). Two callers at once build it once. Throws with the reason when it can't be built.
 */
export async function ensureDesktopImage({
  socket,
  onProgress,
}: Options): Promise<{ image: string; built: boolean }> {
  const docker = new Docker({ socketPath: socket });
  const hash = await sourceHash();
  const image = `${NAME}:latest`;
  const since = Date.now();
  const report: Report = (step, detail = '') =>
    onProgress?.({ step, detail: detail.slice(0, 100), seconds: Math.round((Date.now() - since) / 1000) });

  return withLock('desktop-image', BUILD_WITHIN_MS, async () => {
    const [existing] = await docker.listImages({ filters: { reference: [`${NAME}:${hash}`] } });
    if (existing) {
      if (!existing.RepoTags?.includes(image)) await tag(docker, existing.Id, 'latest');
      return { image, built: false };
    }
    const signal = AbortSignal.timeout(BUILD_WITHIN_MS);
    await buildOnSomeBase(docker, hash, report, signal);
    await tag(docker, `${NAME}:${hash}`, 'latest');
    return { image, built: true };
  });
}

async function tag(docker: Docker, image: string, name: string): Promise<void> {
  await docker.getImage(image).tag({ repo: NAME, tag: name });
}

/** Debian's published image when it can be had and apt works in it; else a base made from this machine's mirror. */
async function buildOnSomeBase(
  docker: Docker,
  hash: string,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  if (await pulled(docker, report)) {
    try {
      return await build(docker, PULLED_BASE, hash, report, signal);
    } catch (error) {
      signal.throwIfAborted();
      report('building from the mirror instead', error instanceof Error ? error.message : '');
    }
  }
  await ensureOwnBase(docker, report, signal);
  await build(docker, OWN_BASE, hash, report, signal);
}

async function pulled(docker: Docker, report: Report): Promise<boolean> {
  if (await exists(docker, PULLED_BASE)) return true;
  const step = `pulling ${PULLED_BASE}`;
  report(step);
  return pull(docker, PULLED_BASE, (line) => report(step, line));
}

async function ensureOwnBase(docker: Docker, report: Report, signal: AbortSignal): Promise<void> {
  if (await exists(docker, OWN_BASE)) return;
  const [repo, tagName] = OWN_BASE.split(':');
  await debootstrap({
    packages: await packages(),
    signal,
    onStep: (step, count) =>
      report('making a Debian base with debootstrap', count ? `${count} ${step}` : step),
    consume: async (tar) => {
      const stream = await docker.importImage(tar, { repo, tag: tagName, abortSignal: signal });
      await follow(stream, signal, () => undefined);
    },
  });
}

async function build(
  docker: Docker,
  base: string,
  hash: string,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const step = `building the desktop image on ${base}`;
  report(step);
  const stream = await docker.buildImage(
    { context: FOLDER, src: SOURCES },
    {
      t: `${NAME}:${hash}`,
      buildargs: { BASE: base },
      labels: { [SOURCE_LABEL]: hash },
      networkmode: 'host',
      forcerm: true,
      abortSignal: signal,
    },
  );
  await follow(stream, signal, (line) => report(step, line));
}
