import type { Subscription } from '@warmwind/shared/client/client';
import type { GenerationResult, ReadingResult } from '@warmwind/shared/inference';
import { MAX_IMAGE_BYTES, OCR_MODEL } from '@warmwind/shared/inference';
import type { JobError } from '@warmwind/shared/jobs';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Empty } from './parts.tsx';
import type { Store } from './store.ts';

const LOOK_EVERY_MS = 60_000;

type Answer = { text: string; note: string; busy: boolean; jobId?: string };

/** Asks a model and shows its answer as it comes. */
export function Inference({ store }: { store: Store }) {
  const [models, setModels] = useState<string[]>([]);
  const [model, setModel] = useState('');
  const [prompt, setPrompt] = useState('Tell me about a warm wind.');
  const [image, setImage] = useState<File>();
  const [answer, setAnswer] = useState<Answer>();
  const following = useRef<Subscription>(undefined);

  useEffect(() => {
    const look = () =>
      store.api
        .call<{ items: { id: string }[] }>('GET', '/models')
        .then(({ items }) => setModels(items.map(({ id }) => id)))
        .catch(() => undefined);
    void look();
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [store]);
  useEffect(() => () => following.current?.unsubscribe(), []);

  const chosen = models.includes(model)
    ? model
    : (models.find((one) => one !== OCR_MODEL) ?? models[0] ?? '');
  const reads = chosen === OCR_MODEL;

  const ask = async (event: Event) => {
    event.preventDefault();
    following.current?.unsubscribe();
    setAnswer({ text: '', note: 'waits', busy: true });
    try {
      const input = reads ? { image: await base64(image) } : { prompt };
      const { jobId } = await store.api.call<{ jobId: string }>('POST', '/inference', {
        model: chosen,
        ...input,
      });
      const relay = await store.relay();
      following.current = relay.subscribe(`job:${jobId}`, {
        onEvent: ({ type, data }) => {
          setAnswer((now) => heard({ ...(now ?? { text: '', note: '', busy: true }), jobId }, type, data));
          if (['job.completed', 'job.failed', 'job.cancelled', 'job.timed_out'].includes(type)) {
            following.current?.unsubscribe();
          }
        },
      });
    } catch (error) {
      setAnswer({ text: '', note: (error as Error).message, busy: false });
    }
  };
  const cancel = () =>
    answer?.jobId && store.api.call('DELETE', `/jobs/${answer.jobId}`).catch(() => undefined);

  return (
    <section class="inference">
      <h2>Ask a model</h2>
      {models.length === 0 && <Empty>No worker serves a model now.</Empty>}
      <form onSubmit={ask}>
        <select aria-label="Model" value={chosen} onChange={(event) => setModel(event.currentTarget.value)}>
          {models.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
        {reads ? (
          <input
            type="file"
            aria-label="Image"
            accept="image/png,image/jpeg"
            onChange={(event) => setImage(event.currentTarget.files?.[0])}
          />
        ) : (
          <textarea
            aria-label="Prompt"
            rows={3}
            value={prompt}
            onInput={(event) => setPrompt(event.currentTarget.value)}
          />
        )}
        <div class="line">
          <button type="submit" class="primary" disabled={!chosen || answer?.busy || (reads && !image)}>
            Ask
          </button>
          {answer?.busy && answer.jobId && (
            <button type="button" onClick={cancel}>
              Cancel
            </button>
          )}
        </div>
      </form>
      {answer && (
        <output class={answer.busy ? 'answer busy' : 'answer'}>
          <p>{answer.text}</p>
          <small>{answer.note}</small>
        </output>
      )}
    </section>
  );
}

/** What an event of the job makes of its answer. A new attempt begins anew. */
function heard(now: Answer, type: string, data: Record<string, unknown>): Answer {
  if (type === 'job.active') return { ...now, text: '', note: 'is worked on' };
  if (type === 'job.output') return { ...now, text: now.text + String(data.text), note: 'writes' };
  if (type === 'job.progress') return { ...now, note: String(data.message ?? `${data.percent} %`) };
  if (type === 'job.retrying') return { ...now, note: 'is tried again' };
  if (type === 'job.completed') {
    const result = data.result as Partial<GenerationResult & ReadingResult>;
    return { ...now, text: result.text ?? now.text, note: summary(result), busy: false };
  }
  if (type === 'job.cancelled') return { ...now, note: 'cancelled', busy: false };
  if (type === 'job.failed' || type === 'job.timed_out') {
    return { ...now, note: (data.error as JobError | undefined)?.message ?? 'failed', busy: false };
  }
  return now;
}

function summary({ usage, firstTokenMs, runMs, boxes }: Partial<GenerationResult & ReadingResult>): string {
  const parts = [
    usage && `${usage.outputTokens} tokens`,
    firstTokenMs !== undefined && `first after ${Math.round(firstTokenMs)} ms`,
    boxes && `${boxes.length} words`,
    runMs !== undefined && `${Math.round(runMs)} ms in all`,
  ];
  return parts.filter(Boolean).join(' · ');
}

async function base64(file: File | undefined): Promise<string> {
  if (!file) throw new Error('Choose an image first.');
  if (file.size > MAX_IMAGE_BYTES) throw new Error('Choose an image of at most 1 MB.');
  return new Uint8Array(await file.arrayBuffer()).toBase64();
}
