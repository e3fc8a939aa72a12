import { join } from 'node:path';
import { promisify } from 'node:util';
import type Docker from 'dockerode';

const NAME = 'warmwind/quiet:latest';
const CONTEXT = join(import.meta.dirname, 'image');

/** Builds an image whose screen only sends the RFB greeting, on top of the real one: many may run at once. */
export async function ensureQuietImage(docker: Docker): Promise<string> {
  const stream = await docker.buildImage(
    { context: CONTEXT, src: ['Dockerfile', 'greeter'] },
    { t: NAME, forcerm: true, networkmode: 'none' },
  );
  const follow = promisify<NodeJS.ReadableStream, { error?: string }[]>((built, done) =>
    docker.modem.followProgress(built, done),
  );
  const failed = (await follow(stream)).find(({ error }) => error);
  if (failed) throw new Error(`the quiet desktop image can't be built: ${failed.error}`);
  return NAME;
}
