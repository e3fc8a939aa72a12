import type { Connection } from '@warmwind/shared/client/client';
import { createViewer, type Viewer, type ViewerControl } from '@warmwind/shared/client/viewer';
import type { ReadingResult } from '@warmwind/shared/inference';
import { useEffect, useRef, useState } from 'preact/hooks';
import { nameOf, useNotice } from './parts.tsx';
import { Boxes } from './reading.tsx';

type Scaling = 'fit' | 'resize' | 'none';
const NOBODY: ViewerControl = { mode: 'view', viewerId: '', holder: null, mine: false };

export type ScreenProps = {
  relay: () => Promise<Connection>;
  containerId: string;
  /** Its owner may take control from whoever has it. */
  owner?: boolean;
  /** What was read from it: marked on the picture. */
  reading?: Partial<ReadingResult> | undefined;
  onControl?: (control: ViewerControl) => void;
};

/** The live picture, and what a viewer can do with it. */
export function ScreenView({ relay, containerId, owner = false, reading, onControl }: ScreenProps) {
  const frame = useRef<HTMLDivElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const viewer = useRef<Viewer>(undefined);
  const [scaling, setScaling] = useState<Scaling>('fit');
  const [control, setControl] = useState(NOBODY);
  const [state, setState] = useState('connecting');
  const [notice, say] = useNotice(state, control.holder);

  useEffect(() => {
    let gone = false;
    relay().then(
      (connection) => {
        if (gone || !stage.current) return;
        viewer.current = createViewer(stage.current, {
          relay: connection,
          containerId,
          clipboard: owner,
          onState: setState,
          onControl: (now) => {
            setControl(now);
            onControl?.(now);
          },
        });
      },
      (error: Error) => say(error.message),
    );
    return () => {
      gone = true;
      viewer.current?.close();
      viewer.current = undefined;
    };
  }, [containerId]);

  const scale = (next: Scaling) => {
    setScaling(next);
    viewer.current?.scale(next);
  };
  const ask = (action: 'request' | 'release' | 'take') => () => {
    viewer.current?.control(action).then(
      () => {
        viewer.current?.focus();
      },
      (error: Error) => say(error.message),
    );
  };
  const { mode, holder, mine } = control;

  return (
    <div class="viewer" data-state={state}>
      <div class="line tools">
        <Badge {...control} />
        {mode === 'control' && !mine && !holder && (
          <button type="button" onClick={ask('request')}>
            Take control
          </button>
        )}
        {mode === 'control' && !mine && holder && owner && (
          <button type="button" onClick={ask('take')}>
            Take it from {holderName(holder)}
          </button>
        )}
        {mine && (
          <button type="button" onClick={ask('release')}>
            Release
          </button>
        )}
        <span class="gap" />
        <select
          aria-label="Scaling"
          value={scaling}
          onChange={(event) => scale(event.currentTarget.value as Scaling)}
        >
          <option value="fit">Fit</option>
          <option value="none">Actual size</option>
          {(mine || scaling === 'resize') && <option value="resize">Resize the desktop</option>}
        </select>
        <button type="button" onClick={() => frame.current?.requestFullscreen().catch(() => undefined)}>
          Full screen
        </button>
      </div>
      {notice}
      <div class="frame" ref={frame}>
        <div class="stage" ref={stage} />
        {reading && frame.current && <Boxes frame={frame.current} reading={reading} />}
      </div>
    </div>
  );
}

const holderName = ({ viewerId, ...holder }: NonNullable<ViewerControl['holder']>) =>
  nameOf({ id: viewerId, ...holder });

function Badge({ mode, holder, mine }: ViewerControl) {
  if (mode === 'view') return <span class="state view">view only</span>;
  if (mine) return <span class="state controls">you control</span>;
  return holder ? (
    <span class="state view">{holderName(holder)} controls</span>
  ) : (
    <span class="state">nobody controls</span>
  );
}
