/** The longest line that a model server may send, bytes. An answer that is no stream is one line. */
const MAX_LINE_BYTES = 2 ** 20;
const NEWLINE = 10;

/** Thrown for a line that is longer than any event: its reader would buffer all of it in memory. */
export class LineTooLongError extends Error {
  override name = 'LineTooLongError';
}

/** Wraps `fetch` so that its answers fail at a line that is too long. */
export const fetchBoundedLines: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  if (!response.body) return response;
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(bounded()), { status, statusText, headers });
};

function bounded(): TransformStream<Uint8Array, Uint8Array> {
  let line = 0;
  return new TransformStream({
    transform(chunk, controller) {
      const last = chunk.lastIndexOf(NEWLINE);
      line = last < 0 ? line + chunk.length : chunk.length - last - 1;
      if (line > MAX_LINE_BYTES)
        controller.error(new LineTooLongError('a line of a model server is too long'));
      else controller.enqueue(chunk);
    },
  });
}
