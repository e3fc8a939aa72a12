import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import Docker from 'dockerode';
import { withLock } from '../local/engine/lock.ts';
import { nodeImage, type Report } from './base.ts';
import { follow } from './docker.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const SOURCE_LABEL = 'warmwind.source';
const WITHIN_MS = 20 * 60_000;

/** The targets of the Dockerfile that are services. */
export const SERVICES = ['relay', 'worker', 'gateway', 'edge', 'pooler'] as const;
export type Service = (typeof SERVICES)[number];

/** The files that are sent to the engine; .dockerignore applies. */
const SOURCES = [
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'shared',
  'edge',
  'workers',
  'relay',
  'infra',
];
/** The parts of `infra` that images contain. */
const OF_INFRA = [
  'package.json',
  'local/edge',
  'local/gateway',
  'local/pooler',
  'local/postgres/account.ts',
  'local/stack/tools.ts',
  'images/Dockerfile',
  'images/packages.sh',
  'images/probe.mjs',
  'images/system.sh',
];

export type Built = { image: string; bytes: number; built: boolean };

/**
 * Builds `warmwind/<service>:latest` of the present sources, unless an image of the same sources exists.
 * @throws Error with the engine's message
 */
export async function ensureImage(
  socket: string,
  service: Service,
  report: Report = () => undefined,
): Promise<Built> {
  const docker = new Docker({ socketPath: socket });
  return withLock('service-images', WITHIN_MS, async () => {
    const files = await sources();
    const hash = await hashOf(files);
    const image = `warmwind/${service}:latest`;
    const known = await docker
      .getImage(image)
      .inspect()
      .catch(() => undefined);
    if (known?.Config.Labels?.[SOURCE_LABEL] === hash) return { image, bytes: known.Size, built: false };
    const signal = AbortSignal.timeout(WITHIN_MS);
    const base = await nodeImage(docker, report, signal);
    const step = `building ${image} on ${base}`;
    report(step);
    const stream = await docker.buildImage(
      { context: ROOT, src: files },
      {
        dockerfile: 'infra/images/Dockerfile',
        target: service,
        t: image,
        buildargs: { NODE: base },
        labels: { [SOURCE_LABEL]: hash },
        networkmode: 'host',
        forcerm: true,
        abortSignal: signal,
      },
    );
    await follow(stream, signal, (line) => report(step, line));
    const { Size } = await docker.getImage(image).inspect();
    return { image, bytes: Size, built: true };
  });
}

/** Relative paths of everything that goes into an image. */
async function sources(): Promise<string[]> {
  const found: string[] = [];
  for (const source of SOURCES) {
    const entries = await readdir(join(ROOT, source), { recursive: true, withFileTypes: true }).catch(
      () => undefined,
    );
    if (!entries) found.push(source);
    for (const entry of entries ?? []) {
      const path = join(entry.parentPath, entry.name).slice(ROOT.length + 1);
      if (entry.isFile() && isSource(path)) found.push(path);
    }
  }
  return found.sort();
}

function isSource(path: string): boolean {
  if (/(^|\/)(node_modules|dist|\.wrangler)\/|\.test\.ts$/.test(path)) return false;
  if (!path.startsWith('infra/')) return true;
  return OF_INFRA.some((part) => path === `infra/${part}` || path.startsWith(`infra/${part}/`));
}

async function hashOf(files: string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) {
    const content = await readFile(join(ROOT, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}
