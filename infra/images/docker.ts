import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import type Docker from 'dockerode';

const PULL_WITHIN_MS = 30_000;
/** The engine's own line after a step that failed. */
const CLEAN_UP = 'Removing intermediate container';

export async function exists(docker: Docker, image: string): Promise<boolean> {
  return docker
    .getImage(image)
    .inspect()
    .then(
      () => true,
      () => false,
    );
}

/**
 * Pulls an image.
 * @returns whether it arrived within half a minute
 */
export async function pull(docker: Docker, image: string, onLine: (line: string) => void): Promise<boolean> {
  try {
    const abortSignal = AbortSignal.timeout(PULL_WITHIN_MS);
    const stream = await docker.pull(image, { abortSignal });
    await follow(stream, abortSignal, onLine);
    return true;
  } catch {
    return false;
  }
}

/** Reads the engine's response to its end: JSON lines, the last of which may be the error. */
export async function follow(
  stream: NodeJS.ReadableStream,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<void> {
  const stop = () => (stream as Readable).destroy(new Error('the engine took too long'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    let last = '';
    for await (const text of createInterface({ input: stream })) {
      if (!text.trim()) continue;
      const line = JSON.parse(text) as { error?: string; stream?: string; status?: string };
      // The last line of a step that failed names the remedy.
      if (line.error) throw new Error(last ? `${line.error}: ${last}` : line.error);
      const message = stripVTControlCharacters(line.stream ?? line.status ?? '').trim();
      if (message) onLine(message);
      if (message && !message.startsWith(CLEAN_UP)) last = message;
    }
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
