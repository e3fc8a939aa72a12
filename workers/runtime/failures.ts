import type { JobError } from '@warmwind/shared/contract/jobs';

/** The failures of jobs, as their owners read them. `retryable` ones are retried while attempts are left. */
const FAILURES = {
  invalid_job: { retryable: false, message: 'The job is malformed and cannot be run. Submit it again.' },
  image_missing: {
    retryable: false,
    message: 'The desktop image is not available on this host. Choose another image or report it.',
  },
  image_invalid: {
    retryable: false,
    message:
      'The entry point of the desktop image cannot be executed. Correct the image: `exit` of the container names the reason.',
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
    message: 'The input of this job has expired. Submit the job again.',
  },
  screen_unavailable: {
    retryable: true,
    message: 'The desktop has no picture now. Check that it is running and try again.',
  },
  invalid_image: {
    retryable: false,
    message:
      'The image cannot be read. Send a PNG, JPEG, WebP or BMP of at most 16 megapixels and 32,767 pixels a side.',
  },
  out_of_memory: {
    retryable: false,
    message: 'The work needs more memory than a job may have. Send something smaller.',
  },
  sandbox_crashed: { retryable: true, message: 'The process that worked on this died. Try again.' },
  no_gpu: {
    retryable: false,
    message: 'No host offers this many GPUs to desktops. Start it with fewer, or with gpus: 0.',
  },
  gpu_unavailable: {
    retryable: true,
    message: 'The engine could not give the desktop its GPUs. Try again, or report it.',
  },
  desktop_too_large: {
    retryable: false,
    message: 'No host is large enough for the desktop. Start it with a smaller memoryMb or fewer cpus.',
  },
  no_room: {
    retryable: false,
    message:
      'No host had room for the desktop in time. Stop another, ask for less memory, or try again later.',
  },
  no_egress: {
    retryable: false,
    message: 'Desktops have no network access here. Start it with network: "none".',
  },
  name_taken: {
    retryable: false,
    message: 'The engine container name of this desktop is taken. Start a new desktop.',
  },
  not_found: { retryable: false, message: 'The desktop no longer exists. Start a new one.' },
  desktop_not_running: {
    retryable: false,
    message: 'The desktop has ended or is stopping. Start a new one.',
  },
  desktop_ended: {
    retryable: false,
    message: 'The desktop ended before the program did. Start a new desktop and run it there.',
  },
  desktop_busy: {
    retryable: true,
    message:
      'Too many programs ran in this desktop for minutes. Wait for some to end, or end them: see GET /containers/:id/processes.',
  },
  program_not_found: {
    retryable: false,
    message: 'The desktop has no such program that may be executed. Correct the first item of cmd.',
  },
  directory_not_found: {
    retryable: false,
    message: 'The desktop has no such directory. Correct cwd.',
  },
  program_not_started: {
    retryable: false,
    message: 'The desktop could not start the program. Correct cmd, cwd and env.',
  },
  program_lost: {
    retryable: false,
    message:
      'The program ran, and its result is lost. Look at the desktop for its effects before you run it again.',
  },
  no_supervisor: {
    retryable: false,
    message: 'This desktop was started by an earlier release, which runs no programs. Start a new one.',
  },
  desktop_exited: {
    retryable: true,
    message:
      'The desktop exited on its own. Read `exit` of the container for its exit code and last output, or try again.',
  },
  desktop_out_of_memory: {
    retryable: false,
    message:
      'The desktop ended because its memory was used up. Start it with a larger memoryMb, or run less in it.',
  },
  desktop_silent: {
    retryable: true,
    message:
      'The screen of the desktop did not answer in time. Read `exit` of the container for its last output, or try again.',
  },
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

/** The public form of a failure. It holds no path, no address and no text of another host. */
export const failure = (code: FailureCode, detail?: string): JobError => {
  const { retryable, message } = FAILURES[code];
  return { code, retryable, message: detail ? `${message} When it gave up: ${detail}.` : message };
};

/**
 * The reason that BullMQ keeps: the code, which {@link readFailedReason} parses, and the message for the
 * board.
 */
export const failedReason = ({ code, message }: JobError): string => `${code}: ${message}`;

/** Parses a failed reason of {@link failedReason}. @returns `undefined` for one of BullMQ's own */
export function readFailedReason(reason: string | null): JobError | undefined {
  const code = reason?.slice(0, reason.indexOf(': '));
  return isFailureCode(code) ? failure(code) : undefined;
}

/** A failure with a known code. `cause` is for logs only, `detail` is added to the message. */
export class JobFailureError extends Error {
  override name = 'JobFailureError';
  readonly code: FailureCode;
  readonly detail: string | undefined;

  constructor(code: FailureCode, cause?: unknown, detail?: string) {
    super(failure(code, detail).message, { cause });
    this.code = code;
    this.detail = detail;
  }
}

const TRANSIENT = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EAGAIN', 'EACCES']);

/** Maps any error to the failure that the job's owner receives. */
export function classify(error: unknown): JobError {
  if (error instanceof JobFailureError) return failure(error.code, error.detail);
  const { statusCode, code } = (error ?? {}) as { statusCode?: unknown; code?: unknown };
  if (typeof statusCode === 'number') {
    // A part of the desktop is gone or held by another call. A missing image is detected where it is used.
    if (statusCode === 404 || statusCode === 409) return failure('engine_busy');
    if (statusCode === 400) return failure('invalid_spec');
    return failure('engine_unavailable');
  }
  if (typeof code === 'string' && TRANSIENT.has(code)) return failure('engine_unavailable');
  return failure('internal');
}
