import type { Subscription } from '@warmwind/shared/client/client';
import { isTerminalEvent } from '@warmwind/shared/events';
import type { GenerationResult, ReadingResult } from '@warmwind/shared/inference';
import type { JobError } from '@warmwind/shared/jobs';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useAction } from './action.ts';
import type { Store } from './store.ts';

type Result = Partial<GenerationResult & ReadingResult>;
export type Answer = { text: string; note: string; busy: boolean; jobId?: string; result?: Result };

/** Asks a model by `POST /inference` and follows its answer as it comes; a further question replaces the last one. */
export function useAsk(store: Store) {
  const [answer, setAnswer] = useState<Answer>();
  const following = useRef<Subscription>(undefined);
  const stop = () => following.current?.unsubscribe();
  useEffect(() => stop, []);

  const busy = useRef(false);
  const fail = (note: string) => setAnswer((now) => ({ text: '', ...now, note, busy: false }));
  const [cancelling, act] = useAction((note) => setAnswer((now) => now && { ...now, note }));
  const ask = async (body: () => object | Promise<object>) => {
    if (busy.current) return;
    busy.current = true;
    stop();
    setAnswer({ text: '', note: 'waits', busy: true });
    try {
      const { jobId } = await store.api.call<{ jobId: string }>('POST', '/inference', await body());
      const relay = await store.relay();
      following.current = relay.subscribe(`job:${jobId}`, {
        onEvent: ({ type, data }) => {
          setAnswer((now) => heard({ ...(now ?? { text: '', note: '', busy: true }), jobId }, type, data));
          if (isTerminalEvent(type)) stop();
        },
      });
    } catch (error) {
      fail((error as Error).message);
    } finally {
      busy.current = false;
    }
  };
  const cancel = () => act(async () => answer?.jobId && store.api.call('DELETE', `/jobs/${answer.jobId}`));
  const clear = () => {
    stop();
    setAnswer(undefined);
  };
  return { answer, ask, cancel, cancelling, clear };
}

/** What an event of the job makes of its answer. A new attempt begins anew. */
function heard(now: Answer, type: string, data: Record<string, unknown>): Answer {
  if (type === 'job.active') return { ...now, text: '', note: 'is worked on' };
  if (type === 'job.output') return { ...now, text: now.text + String(data.text), note: 'writes' };
  if (type === 'job.progress') return { ...now, note: String(data.message ?? `${data.percent} %`) };
  if (type === 'job.retrying') return { ...now, note: 'is tried again' };
  if (type === 'job.completed') {
    const result = data.result as Result;
    return { ...now, text: result.text ?? now.text, note: summary(result), busy: false, result };
  }
  if (type === 'job.cancelled') return { ...now, note: 'cancelled', busy: false };
  if (type === 'job.failed' || type === 'job.timed_out') {
    return { ...now, note: (data.error as JobError | undefined)?.message ?? 'failed', busy: false };
  }
  return now;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;

function summary({ usage, firstTokenMs, runMs, boxes }: Result): string {
  const parts = [
    usage && `${usage.outputTokens} tokens`,
    firstTokenMs !== undefined && `first after ${seconds(firstTokenMs)}`,
    boxes && `${boxes.length} words`,
    runMs !== undefined && `${seconds(runMs)} in all`,
  ];
  return parts.filter(Boolean).join(' · ');
}
