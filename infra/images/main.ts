/** `npm run images`: builds every image that is older than its sources, and prints the size of each. */
import { ensureEngine } from '../local/engine/engine.ts';
import { ensureImage, SERVICES } from './build.ts';
import { ensureDesktopImage } from './desktop/build.ts';

const print = (name: string, text: string) => process.stdout.write(`${name.padEnd(10)} ${text}\n`);

const engine = await ensureEngine();
try {
  for (const service of SERVICES) {
    const since = Date.now();
    let last = '';
    const { image, bytes, built } = await ensureImage(engine.socket, service, (step) => {
      if (step !== last) print(service, `${step}…`);
      last = step;
    });
    const how = built ? `built in ${Math.round((Date.now() - since) / 1000)} s` : 'unchanged';
    print(service, `${image}, ${Math.round(bytes / 1e6)} MB, ${how}`);
  }
  const { image, built } = await ensureDesktopImage({ socket: engine.socket });
  print('desktop', `${image}, ${built ? 'built' : 'unchanged'}`);
} finally {
  await engine.stop();
}
