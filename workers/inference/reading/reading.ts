import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  MAX_IMAGE_PIXELS,
  MAX_IMAGE_SIDE,
  OCR_MODEL,
  type ReadingResult,
} from '@warmwind/shared/contract/inference';
import type { ContainerRef } from '@warmwind/shared/engine/node/records';
import { z } from 'zod';
import { JobFailureError } from '../../runtime/failures.ts';
import { Sandbox } from '../../sandbox/sandbox.ts';
import type { InferenceHandler } from '../inference.ts';

const Pixels = z.number().int();
/** The result of a fork. */
const Reading = z.object({
  text: z.string(),
  width: Pixels,
  height: Pixels,
  boxes: z.array(
    z.object({
      text: z.string(),
      confidence: z.number().min(0).max(100),
      x: Pixels,
      y: Pixels,
      width: Pixels,
      height: Pixels,
    }),
  ),
});
export type Reading = z.infer<typeof Reading>;
/** The input of a fork: an image in base64, and its maximum size, pixels. */
export type ReadingInput = { image: string; most: { side: number; pixels: number } };
const MOST = { side: MAX_IMAGE_SIDE, pixels: MAX_IMAGE_PIXELS };

/**
 * Creates the forks that read images.
 * @param size the maximum number of forks
 * @param memoryMb memory for one image, MB
 */
export function createReaders(size: number, memoryMb: number): Sandbox {
  /** The folders in which npm may have installed the program's packages. */
  const packages = createRequire(import.meta.url).resolve.paths('tesseract.js') ?? [];
  return new Sandbox({
    module: new URL('program.ts', import.meta.url),
    reads: packages.filter(existsSync).map((path) => `${path}/*`),
    memoryMb,
    size,
  });
}

/** Takes a screenshot of a desktop, as an image in base64. */
export type Look = (ref: ContainerRef & { jobId: string }, signal: AbortSignal) => Promise<string>;

/** Creates the handler of `ocr-eng`: the text on an image or a desktop's screen, with positions. */
export function createReading(readers: Sandbox, look: Look): InferenceHandler<ReadingResult> {
  return async ({ data, signal, progress, queuedAt }, input) => {
    const startedAt = Date.now();
    const { containerId } = input;
    const image = containerId
      ? await look({ userId: data.userId, jobId: data.jobId, containerId }, signal)
      : input.image;
    if (image === undefined) throw new JobFailureError('input_missing');
    await progress(10, 'waits for a reader');
    let reported = 0;
    const found = await readers.run({ image, most: MOST } satisfies ReadingInput, signal, (percent) => {
      const now = 30 + Math.floor((percent * 69) / 100);
      if (now < reported + 5) return;
      reported = now;
      // A refused progress is dropped: the run has ended.
      progress(now, 'reads').catch(() => undefined);
    });
    const result: ReadingResult = {
      model: OCR_MODEL,
      ...Reading.parse(found),
      queueMs: Math.max(0, startedAt - queuedAt),
      runMs: Date.now() - startedAt,
    };
    await progress(100, 'read');
    return result;
  };
}
