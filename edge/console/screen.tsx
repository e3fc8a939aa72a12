import type { Connection } from '@warmwind/shared/client/client';
import { LEAVE_KEYS } from '@warmwind/shared/client/leave';
import {
  createViewer,
  type Viewer,
  type ViewerControl,
  type ViewerOptions,
} from '@warmwind/shared/client/viewer';
import type { ReadingResult } from '@warmwind/shared/contract/inference';
import { holdingViewer } from '@warmwind/shared/contract/screen';
import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Activity, useActivity } from './activity.tsx';
import { ClipboardMenu } from './clipboard.tsx';
import { type Act, Badge, ControlButton, Requests, useRequests } from './control.tsx';
import { useNotice } from './parts.tsx';
import { Boxes } from './reading.tsx';

type Scaling = 'fit' | 'resize' | 'none';
const UNCONTROLLED: ViewerControl = { mode: 'view', viewerId: '', holder: null, mine: false };

export type ScreenProps = {
  relay: () => Promise<Connection>;
  containerId: string;
  /** Whether the viewer owns the desktop: an owner may take control from any holder. */
  owner?: boolean;
  /** The text that was read from the screen: marked on the picture. */
  reading?: Partial<ReadingResult> | undefined;
  onControl?: (control: ViewerControl) => void;
};

/** The live picture, with the controls of its viewer. */
export function ScreenView({ relay, containerId, owner = false, reading, onControl }: ScreenProps) {
  const frame = useRef<HTMLDivElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const tools = useRef<HTMLDivElement>(null);
  const [scaling, setScaling] = useState<Scaling>('fit');
  const [control, setControl] = useState(UNCONTROLLED);
  const [state, setState] = useState('connecting');
  const [notice, notify] = useNotice(state, control.holder);
  const [activity, showActivity] = useActivity();
  const [requests, addRequest, dropRequest] = useRequests(control.holder);

  const viewer = useViewer(stage, relay, {
    containerId,
    clipboard: owner,
    onState: setState,
    onControl: (now) => {
      setControl(now);
      onControl?.(now);
    },
    onRequest: addRequest,
    onAction: showActivity,
    onLeave: () => tools.current?.querySelector<HTMLElement>('button, select')?.focus(),
    onFailure: notify,
  });

  const scale = (next: Scaling) => {
    setScaling(next);
    viewer.current?.scale(next);
  };
  const act: Act = (action, viewerId) => {
    viewer.current?.control(action, viewerId).then(
      (holder) => {
        const got = action === 'request' || action === 'take';
        if (got && holdingViewer(holder) === control.viewerId) viewer.current?.focus();
      },
      (error: Error) => notify(error.message),
    );
  };
  const { mode, holder, mine } = control;

  return (
    <div class="viewer" data-state={state}>
      <div class="line tools" ref={tools}>
        <Badge {...control} />
        <ControlButton {...control} owner={owner} act={act} />
        <Activity action={activity} />
        <span class="gap" />
        {mode === 'control' && (mine || !holder) && (
          <small class="keys">{LEAVE_KEYS} leaves the screen</small>
        )}
        {mode === 'control' && (
          <ClipboardMenu viewer={() => viewer.current} shared={owner} onFailure={notify} />
        )}
        <ScalingChoice scaling={scaling} mine={mine} onScale={scale} />
        <button type="button" onClick={() => frame.current?.requestFullscreen().catch(() => undefined)}>
          Full screen
        </button>
      </div>
      {notice}
      <Requests requests={requests} owner={owner} act={act} onDismiss={dropRequest} />
      <div class="frame" ref={frame}>
        <div class="stage" ref={stage} />
        {reading && frame.current && <Boxes frame={frame.current} reading={reading} />}
      </div>
    </div>
  );
}

type ViewerProps = Omit<ViewerOptions, 'relay'> & { onFailure: (message: string) => void };

/** The viewer of a container in `stage`, as long as the component is shown. */
function useViewer(stage: RefObject<HTMLDivElement | null>, relay: ScreenProps['relay'], props: ViewerProps) {
  const viewer = useRef<Viewer>(undefined);
  const { onFailure, ...options } = props;
  useEffect(() => {
    let gone = false;
    relay().then(
      (connection) => {
        if (gone || !stage.current) return;
        viewer.current = createViewer(stage.current, { ...options, relay: connection });
      },
      (error: Error) => onFailure(error.message),
    );
    return () => {
      gone = true;
      viewer.current?.close();
      viewer.current = undefined;
    };
  }, [options.containerId]);
  return viewer;
}

type ScalingChoiceProps = { scaling: Scaling; mine: boolean; onScale: (scaling: Scaling) => void };

/** The choice of how the picture fits its frame. Only the holder of control resizes the desktop itself. */
const ScalingChoice = ({ scaling, mine, onScale }: ScalingChoiceProps) => (
  <select
    aria-label="Scaling"
    value={scaling}
    onChange={(event) => onScale(event.currentTarget.value as Scaling)}
  >
    <option value="fit">Fit</option>
    <option value="none">Actual size</option>
    {(mine || scaling === 'resize') && <option value="resize">Resize the desktop</option>}
  </select>
);
