import { newId } from '@warmwind/shared/contract/ids';
import { SUPERVISOR_PATH } from '../containers/spec.ts';
import type { Fleet } from './fleet.ts';

const DESKTOP = '/usr/local/bin/desktop';
/** Where a derived image has the desktop's own script. */
export const ORIGINAL = '/usr/local/bin/desktop-original';

/** How an image differs from the desktop's: another entry point, or another script in place of the desktop. */
export type Derived = { entryPoint: string[] } | { desktop: string };

/**
 * Makes an image from the desktop's.
 * @returns its name, and a function that removes it
 */
export async function deriveImage(
  { docker, image, fleet }: Pick<Fleet, 'docker' | 'image' | 'fleet'>,
  derived: Derived,
): Promise<{ image: string; remove: () => Promise<void> }> {
  const entryPoint = 'entryPoint' in derived ? derived.entryPoint : [SUPERVISOR_PATH];
  const script = 'desktop' in derived ? `#!/bin/sh\n${derived.desktop}\n` : '';
  const container = await docker.createContainer({
    Image: image,
    Entrypoint: [
      '/bin/sh',
      '-c',
      `cp -p ${DESKTOP} ${ORIGINAL}; [ -z "$SCRIPT" ] || printf %s "$SCRIPT" >${DESKTOP}`,
    ],
    Env: [`SCRIPT=${script}`],
    NetworkDisabled: true,
  });
  await container.start();
  await container.wait();
  const [repo, tag] = [`warmwind/derived-${fleet}`, newId()];
  // With the label of the desktop's image it would be taken for that image.
  const changes = `ENTRYPOINT ${JSON.stringify(entryPoint)}\nENV SCRIPT=none\nLABEL warmwind.source=none`;
  await container.commit({ repo, tag, changes });
  await container.remove();
  const name = `${repo}:${tag}`;
  return { image: name, remove: () => docker.getImage(name).remove({ force: true }) };
}
