import { type OpenAiErrorBody, openAiError } from '@warmwind/shared/contract/openai';

/** An answer other than 200, in OpenAI's form. */
export class RequestRefusedError extends Error {
  override name = 'RequestRefusedError';
  readonly status: number;
  readonly body: OpenAiErrorBody;
  readonly headers: Record<string, string>;

  constructor(status: number, body: OpenAiErrorBody, headers: Record<string, string> = {}) {
    super(body.error.message);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

export const refuse = (status: number, message: string, code?: string, param?: string): RequestRefusedError =>
  new RequestRefusedError(status, openAiError(status, message, code, param));

/** The server can't take the request now; a retry helps. */
export const refuseForNow = (status: 429 | 503, message: string, code: string): RequestRefusedError =>
  new RequestRefusedError(status, openAiError(status, message, code), { 'Retry-After': '1' });
