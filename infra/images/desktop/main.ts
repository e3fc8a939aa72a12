import { ensureEngine } from '../../local/engine/engine.ts';
import { ensureDesktopImage } from './build.ts';
import { type Flavour, SOURCES } from './source.ts';

/** `npm run image -- desktop-browser` */
const [flavour = 'desktop'] = process.argv.slice(2);
if (!(flavour in SOURCES)) {
  console.error(`no such image: use one of ${Object.keys(SOURCES).join(', ')}`);
  process.exit(64);
}
const engine = await ensureEngine({ onProgress: console.log });
try {
  let step = '';
  const { image, exact, built } = await ensureDesktopImage({
    socket: engine.socket,
    flavour: flavour as Flavour,
    onProgress: (progress) => {
      if (progress.step !== step) console.log(`${progress.seconds} s  ${progress.step}`);
      step = progress.step;
    },
  });
  console.log(`${image} ${built ? 'is built' : 'exists'} (${exact})`);
} finally {
  await engine.stop();
}
