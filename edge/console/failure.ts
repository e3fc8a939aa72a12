import type { ErrorBody } from '@warmwind/shared/errors';

/** An answer that is not 2xx, or none at all, in words for people. */
export class RequestError extends Error {
  override name = 'RequestError';
  /** 0: the server was not reached. */
  readonly status: number;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, message: string, retryAfterMs?: number) {
    super(message);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The server could not be reached, or did not answer in time. */
export const unreachable = (): RequestError =>
  new RequestError(0, "The server can't be reached. Check the connection and try again.");

/** A refusal as the edge words it; of an invalid request, each thing that is wrong. */
export async function refusal(response: Response): Promise<RequestError> {
  const body = (await response.json().catch(() => ({}))) as Partial<ErrorBody>;
  const wrong = body.issues?.map(({ path, message }) => `${path}: ${message}`).join('; ');
  const message = wrong || body.message || `The server answered ${response.status}. Try again.`;
  return new RequestError(response.status, message, body.retryAfterMs);
}

/** May the request have been carried out all the same? */
export const isUnknownOutcome = ({ status }: RequestError): boolean => status === 0 || status >= 500;
