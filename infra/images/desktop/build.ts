import Docker from 'dockerode';
import { withLock } from '../../local/engine/lock.ts';
import { exists, follow, pull } from '../docker.ts';
import { debootstrap } from './debootstrap.ts';
import { type Flavour, FOLDER, packages, SOURCES, sourceHash } from './source.ts';

/** The desktop's Debian: Xvnc reuses keys for letters beyond its layout from TigerVNC 1.15 on. */
const SUITE = 'trixie';
const nameOf = (flavour: Flavour) => `warmwind/${flavour}`;
const SOURCE_LABEL = 'warmwind.source';
const PULLED_BASE = `debian:${SUITE}-slim`;
const OWN_BASE = `warmwind/base:${SUITE}`;
const BUILD_WITHIN_MS = 15 * 60_000;

export type ImageProgress = {
  /** The present step; it changes a handful of times. */
  step: string;
  /** The last line of it: for a status line that is overwritten. */
  detail: string;
  /** Since the build began. */
  seconds: number;
};

type Options = { socket: string; flavour?: Flavour; onProgress?: (progress: ImageProgress) => void };
type Report = (step: string, detail?: string) => void;

/** Name of the image, tagged by the hash of its sources. */
type Target = { flavour: Flavour; tag: string };

/**
 * Makes `warmwind/<flavour>:latest` the image of this folder's files; builds it when the engine has none (a
 * minute or two). Two callers at once build it once. `exact` names the same image, also after another
 * checkout has made its own the latest.
 * @throws Error with the reason when it can't be built
 */
export async function ensureDesktopImage({
  socket,
  flavour = 'desktop',
  onProgress,
}: Options): Promise<{ image: string; exact: string; built: boolean }> {
  const docker = new Docker({ socketPath: socket });
  const name = nameOf(flavour);
  const target: Target = { flavour, tag: await sourceHash(flavour) };
  const image = `${name}:latest`;
  const exact = `${name}:${target.tag}`;
  const since = Date.now();
  const report: Report = (step, detail = '') =>
    onProgress?.({ step, detail: detail.slice(0, 100), seconds: Math.round((Date.now() - since) / 1000) });

  const makeLatest = async (id: string) => {
    await docker.getImage(id).tag({ repo: name, tag: 'latest' });
  };
  return withLock(`${flavour}-image`, BUILD_WITHIN_MS, async () => {
    const [existing] = await docker.listImages({ filters: { reference: [exact] } });
    if (existing) {
      if (!existing.RepoTags?.includes(image)) await makeLatest(existing.Id);
      return { image, exact, built: false };
    }
    const signal = AbortSignal.timeout(BUILD_WITHIN_MS);
    await buildOnSomeBase(docker, target, report, signal);
    await makeLatest(exact);
    return { image, exact, built: true };
  });
}

/** Debian's published image when it can be had and apt works in it; else a base made from this machine's mirror. */
async function buildOnSomeBase(
  docker: Docker,
  target: Target,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  if (await pulled(docker, report)) {
    try {
      return await build(docker, PULLED_BASE, target, report, signal);
    } catch (error) {
      signal.throwIfAborted();
      report('building from the mirror instead', error instanceof Error ? error.message : '');
    }
  }
  await ensureOwnBase(docker, report, signal);
  await build(docker, OWN_BASE, target, report, signal);
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
    suite: SUITE,
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
  { flavour, tag }: Target,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const step = `building the ${flavour} image on ${base}`;
  report(step);
  const stream = await docker.buildImage(
    { context: FOLDER, src: SOURCES[flavour] },
    {
      t: `${nameOf(flavour)}:${tag}`,
      buildargs: { BASE: base, EXTRA: flavour.slice('desktop'.length) },
      labels: { [SOURCE_LABEL]: tag },
      networkmode: 'host',
      forcerm: true,
      abortSignal: signal,
    },
  );
  await follow(stream, signal, (line) => report(step, line));
}
