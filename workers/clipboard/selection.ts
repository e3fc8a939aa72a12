import { newId } from '@warmwind/shared/contract/ids';
import type { Supervisor } from '../supervisor/client.ts';

/** How long the program that holds the clipboard may take to answer, ms. */
const ANSWER_MS = 4000;
/** The ids of programs that hold a text for the clipboard. */
const HOLDER_PREFIX = 'clipboard-';

/** Prints the selection as text. It prints nothing when there is none, or when its holder offers no text. */
const READ = `
targets=$(xclip -selection clipboard -o -t TARGETS 2>/dev/null) || exit 0
case "$targets" in
  *UTF8_STRING*) target=UTF8_STRING ;;
  *STRING* | *TEXT*) target=STRING ;;
  *) exit 0 ;;
esac
exec xclip -selection clipboard -o -t "$target"`;

/** The outcome of a read: the bytes of the text, too many of them, or no answer of the holder. */
export type Selection = { bytes: Buffer } | 'too_long' | 'no_answer';

/** Reads the text that the holder of the clipboard offers. @param maxBytes of the text */
export async function readSelection(
  supervisor: Supervisor,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Selection> {
  const { id } = await supervisor.start(
    newId(),
    { cmd: ['sh', '-c', READ], timeoutMs: ANSWER_MS },
    { signal },
  );
  try {
    const { body } = await supervisor.output(id, 'stdout', { signal });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) return 'too_long';
      chunks.push(chunk);
      await supervisor.acknowledge(id, { stdout: size, stderr: 0 }, { signal });
    }
    const { timedOut } = await supervisor.wait(id, { signal });
    return timedOut ? 'no_answer' : { bytes: Buffer.concat(chunks) };
  } finally {
    // It has ended or is of no more use; its record goes with it.
    await supervisor.end(id, { forget: true }).catch(() => undefined);
  }
}

/**
 * Starts a program that holds a text for the clipboard until another one is copied.
 * @returns false when the program ended before it held the text
 */
export async function holdSelection(
  supervisor: Supervisor,
  text: Uint8Array,
  signal: AbortSignal,
): Promise<boolean> {
  const id = `${HOLDER_PREFIX}${newId()}`;
  const cmd = ['xclip', '-selection', 'clipboard', '-quiet', '-i'];
  await supervisor.start(id, { cmd, stdin: text, background: true }, { signal });
  const { body } = await supervisor.output(id, 'stderr', { signal });
  let holds = false;
  // Its first line says that it waits for requests.
  for await (const _ of body) {
    holds = true;
    break;
  }
  const others = (await supervisor.list({ signal })).filter(
    (other) => other.id.startsWith(HOLDER_PREFIX) && (other.id !== id || !holds),
  );
  await Promise.allSettled(others.map((other) => supervisor.end(other.id, { forget: true })));
  return holds;
}
