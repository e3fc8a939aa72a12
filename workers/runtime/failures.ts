import type { JobError } from '@warmwind/shared/contract/jobs';

/** Why jobs fail, as their owners read it; `retryable` ones are tried again while attempts are left. */
const FAILURES = {
  invalid_job: { retryable: false, message: 'The job is malformed and can not be run. Submit it again.' },
  image_missing: {
    retryable: false,
    message: 'The desktop image is not available on this host. Choose another image or report it.',
  },
  invalid_spec: {
    retryable: false,
    message: 'The engine refuses this combination of settings. Change width, height, memory, CPUs or env.',
  },
  model_missing: { retryable: false, message: 'No host serves this model now. See GET /models.' },
  model_unavailable: { retryable: true, message: 'The server of this model does not answer. Try again.' },
  model_busy: { retryable: true, message: 'All servers of this model are busy. Try again later.' },
  model_out_of_memory: { retryable: true, message: 'The server of this model is out of memory. Try again.' },
  model_server_denied: {
    retryable: false,
    message: 'The server of this model does not accept our key. Report it.',
  },
  request_refused: {
    retryable: false,
    message: 'The server of this model refuses the request. Change its messages or parameters.',
  },
  context_exceeded: {
    retryable: false,
    message: 'The request is longer than what the model can take in. Shorten it, or lower maxTokens.',
  },
  answer_too_long: { retryable: false, message: 'The answer is longer than 1 MB. Set maxTokens.' },
  stream_idle: { retryable: true, message: 'The model stopped answering. Try again.' },
  stream_truncated: { retryable: true, message: 'The answer broke off. Try again.' },
  input_missing: {
    retryable: false,
    message: 'What this job works on is not kept any more. Submit it again.',
  },
  screen_unavailable: {
    retryable: true,
    message: 'The desktop shows no picture now. See that it runs, and try again.',
  },
  invalid_image: {
    retryable: false,
    message:
      'The image can not be read. Send a PNG, JPEG, WebP or BMP of at most 16 megapixels and 32,767 pixels a side.',
  },
  out_of_memory: {
    retryable: false,
    message: 'The work needs more memory than a job may have. Send something smaller.',
  },
  sandbox_crashed: { retryable: true, message: 'The process that worked on this died. Try again.' },
  no_gpu: { retryable: false, message: 'No host with GPUs serves desktops. Start it with gpus: 0.' },
  desktop_too_large: {
    retryable: false,
    message: 'No host has as much memory for one desktop. Start it with a smaller memoryMb.',
  },
  no_room: {
    retryable: false,
    message:
      'No host had room for the desktop in time. Stop another, ask for less memory, or try again later.',
  },
  no_egress: {
    retryable: false,
    message: 'Network access is not offered to desktops here. Start it with network: "none".',
  },
  name_taken: {
    retryable: false,
    message: 'Another container stands where this desktop belongs. Start a new desktop.',
  },
  not_found: { retryable: false, message: 'The desktop is not known any more. Start a new one.' },
  desktop_exited: { retryable: true, message: 'The desktop ended by itself.' },
  desktop_silent: { retryable: true, message: 'The desktop did not answer in time.' },
  engine_busy: { retryable: true, message: 'The engine is busy with this desktop. Try again.' },
  engine_unavailable: { retryable: true, message: 'The container engine does not answer. Try again.' },
  host_lost: { retryable: false, message: 'The host of this desktop is gone. Start a new desktop.' },
  worker_lost: { retryable: true, message: 'The workers that ran this job stopped answering. Try again.' },
  timed_out: { retryable: true, message: 'The job took too long. Try again.' },
  internal: { retryable: true, message: 'Something went wrong on our side. Try again.' },
} as const satisfies Record<string, Omit<JobError, 'code'>>;
export type FailureCode = keyof typeof FAILURES;
export const FAILURE_CODES = Object.keys(FAILURES) as FailureCode[];

export const isFailureCode = (code: unknown): code is FailureCode =>
  typeof code === 'string' && Object.hasOwn(FAILURES, code);

/** What is told of a failure: never a path, an address or another host's words. */
export const failure = (code: FailureCode): JobError => ({ code, ...FAILURES[code] });

/** What BullMQ keeps of a failure: the code, which {@link readFailedReason} reads back, and its message for the board. */
export const failedReason = ({ code, message }: JobError): string => `${code}: ${message}`;

/** The failure that BullMQ was given as a job's end; `undefined` for a reason of BullMQ's own. */
export function readFailedReason(reason: string | null): JobError | undefined {
  const code = reason?.slice(0, reason.indexOf(': '));
  return isFailureCode(code) ? failure(code) : undefined;
}

/** A failure whose kind is known where it is thrown. `cause` is for logs only. */
export class JobFailureError extends Error {
  override name = 'JobFailure';
  readonly code: FailureCode;

  constructor(code: FailureCode, cause?: unknown) {
    super(FAILURES[code].message, { cause });
    this.code = code;
  }
}

const TRANSIENT = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EAGAIN', 'EACCES']);

/** Any error → what its owner is told, and whether another attempt may help. */
export function classify(error: unknown): JobError {
  if (error instanceof JobFailureError) return failure(error.code);
  const { statusCode, code } = (error ?? {}) as { statusCode?: unknown; code?: unknown };
  if (typeof statusCode === 'number') {
    // Something of the desktop has gone or is held by another call. That an image is missing is found where it is used.
    if (statusCode === 404 || statusCode === 409) return failure('engine_busy');
    if (statusCode === 400) return failure('invalid_spec');
    return failure('engine_unavailable');
  }
  if (typeof code === 'string' && TRANSIENT.has(code)) return failure('engine_unavailable');
  return failure('internal');
}
