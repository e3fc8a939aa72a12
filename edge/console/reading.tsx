import { copyText } from '@warmwind/shared/client/copy';
import type { ReadingResult } from '@warmwind/shared/contract/inference';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Answer } from './ask.ts';
import { useNotice } from './parts.tsx';

/** The text that was read from a screen. */
export function Reading({ answer, onClose }: { answer: Answer; onClose: () => void }) {
  const { text, note, busy, result } = answer;
  const panel = useRef<HTMLElement>(null);
  useEffect(() => panel.current?.scrollIntoView({ block: 'nearest' }), [result]);
  const [notice, notify] = useNotice(text);
  const copy = async () => {
    const copied = await copyText(text);
    notify(
      copied ? 'Copied.' : 'The browser does not permit copying: select the text and copy it by keyboard.',
    );
  };
  return (
    <section class="reading panel" aria-label="Text on the screen" ref={panel}>
      <div class="line">
        <h2>Text on the screen</h2>
        <small>{note}</small>
        <span class="gap" />
        {text && (
          <button type="button" onClick={copy}>
            Copy
          </button>
        )}
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      {notice}
      {result && <pre>{text.trim() || 'There is no text on the screen.'}</pre>}
      {busy && <p class="empty">The screen is being read…</p>}
    </section>
  );
}

type Position = { left: number; top: number; width: number; height: number };

/** Marks the positions of the words that were read, over the picture in `frame`. */
export function Boxes({ frame, reading }: { frame: HTMLElement; reading: Partial<ReadingResult> }) {
  const [place, setPlace] = useState<Position>();
  useEffect(() => {
    const canvas = frame.querySelector('canvas');
    if (!canvas) return;
    const look = () => {
      const [inner, outer] = [canvas.getBoundingClientRect(), frame.getBoundingClientRect()];
      const { width, height } = inner;
      setPlace({ left: inner.left - outer.left, top: inner.top - outer.top, width, height });
    };
    const observer = new ResizeObserver(look);
    observer.observe(canvas);
    observer.observe(frame);
    frame.addEventListener('scroll', look, true);
    return () => {
      observer.disconnect();
      frame.removeEventListener('scroll', look, true);
    };
  }, [frame]);

  const { width = 0, height = 0, boxes = [] } = reading;
  if (!place || boxes.length === 0) return null;
  return (
    <svg
      class="boxes"
      style={{ ...place }}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {boxes.map((box, i) => (
        <rect key={i} x={box.x} y={box.y} width={box.width} height={box.height} rx={3} />
      ))}
    </svg>
  );
}
