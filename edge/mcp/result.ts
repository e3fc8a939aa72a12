import type { CallToolResult, ImageContent } from '@modelcontextprotocol/sdk/types.js';
import { ActionPicture } from '@warmwind/shared/contract/actions/answer';
import type { ErrorBody } from '@warmwind/shared/contract/errors';
import { isTerminal, type Job } from '@warmwind/shared/contract/jobs';
import { imageSize } from 'image-size';

/** The largest picture of a result, bytes: what models accept. */
const MAX_PICTURE_BYTES = 3.75 * 2 ** 20;

/** The largest file of a result, bytes. */
const MAX_FILE_BYTES = 2 ** 20;

type Fields = Record<string, unknown>;

/** The result of a tool that succeeded: its fields, for programs and as text for models. */
const fieldsResult = (fields: Fields, pictures: ImageContent[] = []): CallToolResult => ({
  content: [...pictures, { type: 'text', text: JSON.stringify(fields) }],
  structuredContent: fields,
});

/** The result of a tool that failed: a stable code, and a message that names the next step. */
export const failedResult = (failure: Partial<ErrorBody> | Fields): CallToolResult => {
  const { statusCode, requestId, ...shown } = failure as Fields;
  return { isError: true, content: [{ type: 'text', text: JSON.stringify(shown) }] };
};

/** The result of a tool whose job was waited for. */
export function jobResult(job: Job): CallToolResult {
  const { id: jobId, kind, state, containerId, result, error } = job;
  const fields = { jobId, ...(containerId === undefined ? {} : { containerId }), kind, state };
  if (state === 'completed') return fieldsResult({ ...fields, result });
  if (error) return failedResult({ code: error.code, message: error.message, ...fields });
  if (isTerminal(state)) {
    return failedResult({
      code: state,
      message: 'The job did not complete. Call the tool again.',
      ...fields,
    });
  }
  return fieldsResult({ ...fields, next: 'The job has not ended: call get_job with this jobId.' });
}

/** Turns the answer of a route into the result of its tool. */
export async function answerResult(answer: Response): Promise<CallToolResult> {
  const type = answer.headers.get('Content-Type')?.split(';')[0] ?? '';
  if (answer.status === 204) return fieldsResult({ done: true });
  if (type.startsWith('image/') && answer.ok) return pictureResult(answer, type);
  if (type === 'application/octet-stream' && answer.ok) return fileResult(answer);
  const body = (await answer.json()) as Fields;
  if (!answer.ok) return failedResult(body);
  const pictures: ImageContent[] = [];
  return fieldsResult(takePictures(body, pictures) as Fields, pictures);
}

async function pictureResult(answer: Response, mimeType: string): Promise<CallToolResult> {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (bytes.byteLength > MAX_PICTURE_BYTES) {
    const message = `The picture has more than ${MAX_PICTURE_BYTES / 2 ** 20} MB. Request a JPEG, or a smaller one.`;
    return failedResult({ code: 'payload_too_large', message });
  }
  const { width, height } = imageSize(bytes);
  const number = (name: string) => Number(answer.headers.get(name));
  const fields = {
    width,
    height,
    screenWidth: number('X-Screen-Width'),
    screenHeight: number('X-Screen-Height'),
  };
  return fieldsResult(fields, [{ type: 'image', data: bytes.toBase64(), mimeType }]);
}

/** The content of a file: as text when it is UTF-8, otherwise in base64. */
async function fileResult(answer: Response): Promise<CallToolResult> {
  const bytes = await readBytes(answer);
  if (!bytes) {
    const message = `The file has more than ${MAX_FILE_BYTES / 2 ** 20} MB. Read a part of it by exec, such as head -c.`;
    return failedResult({ code: 'payload_too_large', message });
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return fieldsResult({ bytes: bytes.length, text });
  } catch {
    return fieldsResult({ bytes: bytes.length, base64: bytes.toBase64() });
  }
}

/** Reads the body of an answer. @returns `undefined` when it is too large; then the rest is not read */
async function readBytes(answer: Response): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body ?? []) {
    size += chunk.length;
    if (size > MAX_FILE_BYTES) return undefined;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * Takes the pictures out of an answer: they become content of their own.
 * @param pictures receives them, in the order in which the answer has them
 * @returns the answer without their bytes
 */
function takePictures(value: unknown, pictures: ImageContent[]): unknown {
  if (Array.isArray(value)) return value.map((item) => takePictures(item, pictures));
  if (typeof value !== 'object' || value === null) return value;
  const picture = ActionPicture.safeParse(value).data;
  if (!picture) {
    return Object.fromEntries(
      Object.entries(value).map(([name, field]) => [name, takePictures(field, pictures)]),
    );
  }
  const { data, format, ...shown } = picture;
  pictures.push({ type: 'image', data, mimeType: `image/${format}` });
  return shown;
}
