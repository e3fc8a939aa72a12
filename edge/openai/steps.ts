import type { Services } from '../services.ts';
import { Answer, type Step } from './answer.ts';
import { jobEvents } from './events.ts';

/** Yields the answer as it is generated; its last step has the result. */
export async function* answerSteps(
  { relay }: Services,
  user: string,
  { jobId, run }: { jobId: string; run: number },
  signal: AbortSignal,
): AsyncGenerator<Step> {
  const answer = new Answer(jobId, run);
  for await (const event of jobEvents(relay, user, jobId, signal)) {
    const step = answer.take(event);
    if (step.text || step.result) yield step;
    if (step.result) return;
  }
}
