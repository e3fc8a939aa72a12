import type { ImageProgress } from '../../images/desktop/build.ts';

/** Between two lines of progress where nothing can be overwritten, s. */
const QUIET_SECONDS = 15;

/** Shows a long build: on a terminal as one line that is overwritten, elsewhere as a line a step, and one now and then. */
export function progressLine(name: string, out: NodeJS.WriteStream) {
  let step = '';
  let printedAt = 0;
  return {
    show: (progress: ImageProgress) => {
      const text = `${name.padEnd(15)} ${progress.step} (${progress.seconds} s)`;
      if (out.isTTY) {
        out.write(`\r\x1b[K${`${text} ${progress.detail}`.slice(0, out.columns - 1)}`);
      } else if (progress.step !== step || progress.seconds - printedAt >= QUIET_SECONDS) {
        out.write(`${text}\n`);
        printedAt = progress.seconds;
      }
      step = progress.step;
    },
    clear: () => out.isTTY && step !== '' && out.write('\r\x1b[K'),
  };
}
