import type { Subscription } from '@warmwind/shared/client/client';
import type { CommandInput } from '@warmwind/shared/client/submission';
import type { GenerationResult, ReadingResult } from '@warmwind/shared/contract/inference';
import { isCompletion } from '@warmwind/shared/contract/results';
import { type Envelope, isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useAction } from './action.ts';
import type { Store } from './store.ts';

type Result = Partial<GenerationResult & ReadingResult>;
export type Answer = { text: string; note: string; busy: boolean; jobId?: string; result?: Result };

type Question = CommandInput<'inference'>;

/**
 * Asks a model by `POST /inference` and follows its answer as it is generated; a further question replaces
 * the last one.
 */
export function useAsk(store: Store) {
  const [answer, setAnswer] = useState<Answer>();
  const following = useRef<Subscription>(undefined);
  const stop = () => following.current?.unsubscribe();
  useEffect(() => stop, []);

  const busy = useRef(false);
  const fail = (note: string) => setAnswer((now) => ({ text: '', ...now, note, busy: false }));
  const [cancelling, act] = useAction((note) => setAnswer((now) => now && { ...now, note }));
  const ask = async (body: () => Question | Promise<Question>) => {
    if (busy.current) return;
    busy.current = true;
    stop();
    setAnswer({ text: '', note: 'waiting', busy: true });
    try {
      const { jobId } = await store.api.command('inference', await body());
      const relay = await store.relay();
      following.current = relay.subscribe(`job:${jobId}`, {
        onEvent: (event) => {
          setAnswer((now) => reduceEvent({ ...(now ?? { text: '', note: '', busy: true }), jobId }, event));
          if (isTerminalEvent(event.type)) stop();
        },
      });
    } catch (error) {
      fail((error as Error).message);
    } finally {
      busy.current = false;
    }
  };
  const cancel = () => act(async () => answer?.jobId && store.api.edge.cancelJob(answer.jobId));
  const clear = () => {
    stop();
    setAnswer(undefined);
  };
  return { answer, ask, cancel, cancelling, clear };
}

/** Applies an event of the job to its answer. A new attempt clears the text. */
function reduceEvent(now: Answer, { type, data }: Envelope): Answer {
  switch (type) {
    case 'job.active':
      return { ...now, text: '', note: 'running' };
    case 'job.output':
      return { ...now, text: now.text + ('text' in data ? data.text : ''), note: 'generating' };
    case 'job.progress':
      return { ...now, note: data.message ?? `${data.percent} %` };
    case 'job.retrying':
      return { ...now, note: 'retrying' };
    case 'job.completed': {
      const result: Result = isCompletion(data) && data.kind === 'inference' ? data.result : {};
      return { ...now, text: result.text ?? now.text, note: summary(result), busy: false, result };
    }
    case 'job.cancelled':
      return { ...now, note: 'cancelled', busy: false };
    case 'job.failed':
    case 'job.timed_out':
      return { ...now, note: data.error?.message ?? 'failed', busy: false };
    default:
      return now;
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

function summary({ usage, firstTokenMs, runMs, boxes }: Result): string {
  const parts = [
    usage && `${usage.outputTokens} tokens`,
    firstTokenMs !== undefined && `first token after ${seconds(firstTokenMs)}`,
    boxes && `${boxes.length} words`,
    runMs !== undefined && `${seconds(runMs)} in total`,
  ];
  return parts.filter(Boolean).join(' · ');
}
