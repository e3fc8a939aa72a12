import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { truncateText } from '@warmwind/shared/runtime/text';
import { disableTypes, imageSize, types } from 'image-size';
import { createWorker, OEM } from 'tesseract.js';
import { JobFailureError } from '../../runtime/failures.ts';
import { serve } from '../../sandbox/serve.ts';
import type { Reading, ReadingInput } from './reading.ts';

const MAX_BOXES = 5000;
const MAX_TEXT = 200_000;
const MAX_WORD = 200;
/**
 * Messages of failures that may be out of memory, which the fork decides. Any other failure is the image's.
 */
const MEMORY = /memory|alloc|OOM/i;
const READABLE = ['png', 'jpg', 'bmp', 'webp', 'pnm'];

disableTypes(types.filter((type) => !READABLE.includes(type)));

/**
 * Reads an image (base64) in a fork. Its language data is a file of an npm package: nothing is downloaded or
 * cached.
 */
serve(async () => {
  let report: (percent: number) => void = () => undefined;
  const { resolve } = createRequire(import.meta.url);
  const langPath = join(dirname(resolve('@tesseract.js-data/eng/package.json')), '4.0.0_best_int');
  const tesseract = await createWorker('eng', OEM.LSTM_ONLY, {
    langPath,
    gzip: true,
    cacheMethod: 'none',
    logger: ({ status, progress }) => {
      if (status === 'recognizing text') report(Math.round(progress * 100));
    },
    // Without a handler tesseract.js throws where the error cannot be caught.
    errorHandler: () => undefined,
  });
  return async (input, progress): Promise<Reading> => {
    const { image: base64, most } = input as ReadingInput;
    const image = Buffer.from(base64, 'base64');
    const size = measure(image, most);
    report = progress;
    progress(0);
    const { data } = await tesseract.recognize(image, {}, { text: true, blocks: true }).catch((error) => {
      throw MEMORY.test(String(error)) ? error : new JobFailureError('invalid_image', error);
    });
    const words = (data.blocks ?? []).flatMap(({ paragraphs }) =>
      paragraphs.flatMap(({ lines }) => lines.flatMap((line) => line.words)),
    );
    return {
      text: truncateText(data.text.trimEnd(), MAX_TEXT),
      ...size,
      boxes: words.slice(0, MAX_BOXES).map(({ text, confidence, bbox: { x0, y0, x1, y1 } }) => ({
        text: truncateText(text, MAX_WORD),
        confidence: Math.round(confidence),
        x: x0,
        y: y0,
        width: x1 - x0,
        height: y1 - y0,
      })),
    };
  };
});

/**
 * Measures an image after its rotation by EXIF, pixels.
 * @throws JobFailureError `invalid_image` when it is too large or no image
 */
function measure(image: Buffer, most: ReadingInput['most']): { width: number; height: number } {
  let size: ReturnType<typeof imageSize>;
  try {
    size = imageSize(image);
  } catch (error) {
    throw new JobFailureError('invalid_image', error);
  }
  const { width, height, orientation = 1 } = size;
  const readable =
    Math.min(width, height) > 0 && Math.max(width, height) <= most.side && width * height <= most.pixels;
  if (!readable) throw new JobFailureError('invalid_image');
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}
