import { GenerationResult } from '@warmwind/shared/contract/inference';
import { isTerminal, type Job, type JobError } from '@warmwind/shared/contract/jobs';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import type { z } from 'zod';
import { NoAnswerError } from './errors.ts';

/** The fields of a job's result that an answer needs. */
const Result = GenerationResult.pick({ text: true, finishReason: true, usage: true });
export type Result = z.infer<typeof Result>;

/** A piece of the answer's text ('' for none); the last one carries the complete result. */
export type Step = { text: string; result?: Result };

/**
 * Turns the events of one run into its answer, piece by piece. An attempt that starts again, because the one
 * before it failed or its worker went down, may emit the same text again: text that matches is not sent
 * twice.
 */
export class Answer {
  readonly #run: number;
  readonly #jobId: string;
  /** All text sent so far, and the length of its part that the present attempt has repeated. */
  #emitted = '';
  #confirmed = 0;
  /** Some of the present attempt's text is lost: later text of the attempt can't be placed. */
  #hasGap = false;

  constructor(jobId: string, run: number) {
    this.#jobId = jobId;
    this.#run = run;
  }

  /**
   * Applies an event.
   * @returns the text to send
   * @throws NoAnswerError when there is no answer, or when it contradicts the text already sent
   */
  take(event: Envelope): Step {
    if (!('run' in event) || event.run !== this.#run) return { text: '' };
    switch (event.type) {
      case 'job.active':
        this.#confirmed = 0;
        this.#hasGap = false;
        return { text: '' };
      case 'job.output':
        return { text: this.#hasGap || !('text' in event.data) ? '' : this.#resume(event.data.text) };
      case 'job.completed':
        return this.#completed(event.data.result);
      case 'job.failed':
      case 'job.timed_out':
      case 'job.cancelled':
        throw this.#failed(event.type.slice('job.'.length), event.data.error);
      case 'job.snapshot':
        return this.#caughtUp(event.data);
      default:
        return { text: '' };
    }
  }

  #resume(text: string): string {
    const known = this.#emitted.slice(this.#confirmed, this.#confirmed + text.length);
    if (!text.startsWith(known)) throw this.#differs();
    const fresh = text.slice(known.length);
    this.#confirmed += text.length;
    this.#emitted += fresh;
    return fresh;
  }

  #completed(value: unknown): Step {
    const { data: result } = Result.safeParse(value);
    if (!result) throw new NoAnswerError(503, 'The job has no text as its answer.', 'unavailable');
    if (!result.text.startsWith(this.#emitted)) throw this.#differs();
    const text = result.text.slice(this.#emitted.length);
    this.#emitted = result.text;
    return { text, result };
  }

  /** The log has lost its beginning: the snapshot gives the state of the job. */
  #caughtUp(job: Job): Step {
    this.#hasGap = true;
    if (job.run !== this.#run) return { text: '' };
    if (job.state === 'completed') return this.#completed(job.result);
    if (isTerminal(job.state)) throw this.#failed(job.state, job.error);
    return { text: '' };
  }

  #failed(state: string, error: JobError | undefined): NoAnswerError {
    if (error) return NoAnswerError.ofJob(error);
    return new NoAnswerError(409, `The job was ${state.replace('_', ' ')}.`, state);
  }

  #differs(): NoAnswerError {
    return new NoAnswerError(
      503,
      `The answer restarted and differs from the text already sent: retry, or get the job ${this.#jobId}.`,
      'answer_restarted',
    );
  }
}
