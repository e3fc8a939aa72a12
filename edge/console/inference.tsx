import { MAX_IMAGE_BYTES, OCR_MODEL } from '@warmwind/shared/contract/inference';
import { useState } from 'preact/hooks';
import { type Answer, useAsk } from './ask.ts';
import { Empty } from './parts.tsx';
import { NotLoaded } from './retrying.tsx';
import type { Store } from './store.ts';
import { useRefresher } from './use-refresher.ts';

const LOOK_EVERY_MS = 5 * 60_000;

/** Asks a model and shows its answer as it is generated. */
export function Inference({ store }: { store: Store }) {
  const read = async () => {
    const { items } = await store.api.edge.listModels();
    return items.map(({ id }) => id);
  };
  const [models = [], refresher] = useRefresher(store.api, read, { everyMs: LOOK_EVERY_MS });
  const [model, setModel] = useState('');
  const [prompt, setPrompt] = useState('Describe a warm wind.');
  const [image, setImage] = useState<File>();
  /** The id of the desktop whose screen is read; '' for a file. */
  const [desktop, setDesktop] = useState('');
  const { answer, ask, cancel, cancelling } = useAsk(store);

  const chosen = models.includes(model)
    ? model
    : (models.find((one) => one !== OCR_MODEL) ?? models[0] ?? '');
  const reads = chosen === OCR_MODEL;
  const running = [...store.desktops.value.values()].filter(({ state }) => state === 'running');
  const source = running.some(({ id }) => id === desktop) ? desktop : '';

  const submit = (event: Event) => {
    event.preventDefault();
    const input = async () => {
      if (!reads) return { prompt };
      return source ? { containerId: source } : { image: await base64(image) };
    };
    void ask(async () => ({ model: chosen, ...(await input()) }));
  };

  return (
    <section class="inference">
      <h2>Ask a model</h2>
      <NotLoaded what="The models" refresher={refresher} />
      {models.length === 0 && refresher.loaded.value && <Empty>No worker serves a model now.</Empty>}
      <form onSubmit={submit}>
        <select aria-label="Model" value={chosen} onChange={(event) => setModel(event.currentTarget.value)}>
          {models.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
        {reads && (
          <ReadingSource desktops={running} source={source} onSource={setDesktop} onImage={setImage} />
        )}
        {!reads && (
          <textarea
            aria-label="Prompt"
            rows={3}
            value={prompt}
            onInput={(event) => setPrompt(event.currentTarget.value)}
          />
        )}
        <div class="line">
          <button
            type="submit"
            class="primary"
            disabled={!chosen || answer?.busy || (reads && !source && !image)}
          >
            Ask
          </button>
          {answer?.busy && answer.jobId && (
            <button type="button" onClick={cancel} disabled={cancelling}>
              Cancel
            </button>
          )}
        </div>
      </form>
      {answer && <AnswerView answer={answer} />}
    </section>
  );
}

type ReadingSourceProps = {
  desktops: { id: string; name: string }[];
  /** The id of the desktop whose screen is read; '' for a file. */
  source: string;
  onSource: (source: string) => void;
  onImage: (image: File | undefined) => void;
};

/** The choice of the source to read: the screen of a desktop, or a file. */
function ReadingSource({ desktops, source, onSource, onImage }: ReadingSourceProps) {
  return (
    <>
      <select
        aria-label="Source of the text"
        value={source}
        onChange={(event) => onSource(event.currentTarget.value)}
      >
        <option value="">an image file</option>
        {desktops.map(({ id, name }) => (
          <option key={id} value={id}>
            the screen of {name}
          </option>
        ))}
      </select>
      {!source && (
        <input
          type="file"
          aria-label="Image"
          accept="image/png,image/jpeg"
          onChange={(event) => onImage(event.currentTarget.files?.[0])}
        />
      )}
    </>
  );
}

const AnswerView = ({ answer: { busy, text, note } }: { answer: Answer }) => (
  <output class={busy ? 'answer busy' : 'answer'}>
    <p>{text}</p>
    <small>{note}</small>
  </output>
);

async function base64(file: File | undefined): Promise<string> {
  if (!file) throw new Error('Choose an image first.');
  if (file.size > MAX_IMAGE_BYTES) throw new Error('Choose an image of at most 1 MB.');
  return new Uint8Array(await file.arrayBuffer()).toBase64();
}
