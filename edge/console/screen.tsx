import type { Connection } from '@warmwind/shared/client/client';
import type { Holder, ScreenMode } from '@warmwind/shared/client/screen';
import { createViewer, type Viewer } from '@warmwind/shared/client/viewer';
import { useEffect, useRef, useState } from 'preact/hooks';

type Scaling = 'fit' | 'resize' | 'none';
type Control = { mode: ScreenMode; holder: Holder; mine: boolean };

export type ScreenProps = {
  relay: () => Promise<Connection>;
  containerId: string;
  /** Its owner may take control from whoever has it. */
  owner?: boolean;
};

/** The live picture, and what a viewer can do with it. */
export function ScreenView({ relay, containerId, owner = false }: ScreenProps) {
  const stage = useRef<HTMLDivElement>(null);
  const viewer = useRef<Viewer>(undefined);
  const [scaling, setScaling] = useState<Scaling>('fit');
  const [control, setControl] = useState<Control>({ mode: 'view', holder: null, mine: false });
  const [state, setState] = useState('connecting');
  const [said, setSaid] = useState('');

  useEffect(() => {
    let gone = false;
    relay().then(
      (connection) => {
        if (gone || !stage.current) return;
        viewer.current = createViewer(stage.current, {
          relay: connection,
          containerId,
          clipboard: true,
          onState: setState,
          onControl: setControl,
        });
      },
      (error: Error) => setSaid(error.message),
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
        setSaid('');
        viewer.current?.focus();
      },
      (error: Error) => setSaid(error.message),
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
            Take it from {holder.userId}
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
          {mine && <option value="resize">Resize the desktop</option>}
        </select>
        <button type="button" onClick={() => stage.current?.requestFullscreen().catch(() => undefined)}>
          Full screen
        </button>
      </div>
      {said && <p class="wrong">{said}</p>}
      <div class="stage" ref={stage} />
    </div>
  );
}

function Badge({ mode, holder, mine }: Control) {
  if (mode === 'view') return <span class="state view">view only</span>;
  if (mine) return <span class="state controls">you control</span>;
  return holder ? (
    <span class="state view">{holder.userId} controls</span>
  ) : (
    <span class="state">nobody controls</span>
  );
}
