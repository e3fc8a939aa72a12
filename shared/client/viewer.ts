import RFB from '@novnc/novnc';
import type { ContainerState } from '../containers.ts';
import type { Connection } from './client.ts';
import { RfbChannel } from './rfb-channel.ts';
import type { Holder, ScreenMode } from './screen.ts';

/** What a viewer shows: `live` the picture; all else a line of text over it. */
export type ViewerState = 'connecting' | 'starting' | 'live' | 'frozen' | 'ended' | 'refused';

export type ViewerOptions = {
  relay: Connection;
  containerId: string;
  /** `fit` (default) scales the picture into the element, `resize` asks the desktop for the element's size, `none` scrolls. */
  scaling?: 'fit' | 'resize' | 'none';
  /** Both ways, as far as the browser permits: what is copied there can be pasted here, and the other way round. */
  clipboard?: boolean;
  onState?: (state: ViewerState, text: string) => void;
  onControl?: (control: { mode: ScreenMode; holder: Holder; mine: boolean }) => void;
};

export type Viewer = {
  /** See `Screen.control`. */
  control: (action: 'request' | 'release' | 'take') => Promise<Holder>;
  scale: (scaling: 'fit' | 'resize' | 'none') => void;
  focus: () => void;
  close: () => void;
};

/** A longer clipboard is not offered to the desktop: a message to the relay holds 64 KB, and JSON writes some letters as six. */
const MAX_OFFERED = 10_000;

const ENDED: Partial<Record<ContainerState, string>> = {
  stopped: 'The desktop has been stopped.',
  failed: 'The desktop could not be started, or ended by itself.',
  lost: 'The host of this desktop is gone.',
};
const STARTING: Partial<Record<ContainerState, string>> = {
  requested: 'The desktop waits for a place.',
  starting: 'The desktop is starting.',
  stopping: 'The desktop is being stopped.',
  paused: 'The desktop is paused.',
};

/**
 * Shows a desktop in `element`, live, and goes on by itself over reconnects. It follows the desktop's own room, so that it
 * can say why there is no picture.
 *
 * @example
 * const relay = connect({ url, token });
 * const viewer = createViewer(document.querySelector('#screen'), { relay, containerId });
 */
export function createViewer(element: HTMLElement, options: ViewerOptions): Viewer {
  const { relay, containerId, onState, onControl } = options;
  const [stage, veil] = [document.createElement('div'), document.createElement('div')];
  stage.style.cssText = 'position:absolute;inset:0;overflow:auto';
  veil.style.cssText =
    'position:absolute;inset:0;display:grid;place-items:center;padding:1em;text-align:center;' +
    'background:rgb(12 14 18 / 72%);color:#e8eaed;font:500 15px/1.5 system-ui,sans-serif;pointer-events:none';
  veil.setAttribute('role', 'status');
  if (getComputedStyle(element).position === 'static') element.style.position = 'relative';
  element.append(stage, veil);

  let scaling = options.scaling ?? 'fit';
  let shown: { rfb: RFB; channel: RfbChannel } | undefined;
  let mode: ScreenMode = 'view';
  let holder: Holder = null;
  let mine = false;
  let closed = false;
  let hasEnded = false;
  /** The last text that either clipboard had: it is not sent back to where it came from. */
  let lastCut = '';

  const become = (state: ViewerState, text: string) => {
    if (closed || (hasEnded && state !== 'ended')) return;
    veil.style.display = state === 'live' ? 'none' : 'grid';
    veil.textContent = text;
    onState?.(state, text);
  };
  /** Input of who may not send any would be dropped at the relay: the keyboard stays with the page. */
  const apply = () => {
    if (!shown) return;
    const { rfb } = shown;
    rfb.viewOnly = mode === 'view' || (holder !== null && !mine);
    rfb.scaleViewport = scaling === 'fit';
    rfb.resizeSession = scaling === 'resize' && !rfb.viewOnly;
  };
  const show = (width: number, height: number): RfbChannel => {
    if (shown) return shown.channel;
    const channel = new RfbChannel({ width, height, onInput: (input) => screen.input(input) });
    const rfb = new RFB(stage, channel as unknown as WebSocket, { shared: true });
    rfb.background = 'transparent';
    shown = { rfb, channel };
    apply();
    return channel;
  };

  const screen = relay.watch(containerId, {
    onWatching: (watching) => {
      ({ mode, holder, mine } = watching);
      apply();
      onControl?.({ mode, holder, mine });
      if (!shown) become('starting', 'The picture is on its way.');
    },
    onKey: (bytes, width, height) => {
      show(width, height).key(bytes, width, height);
      become('live', '');
    },
    onFrame: (bytes) => shown?.channel.frame(bytes),
    onControl: (now, isMine) => {
      [holder, mine] = [now, isMine];
      apply();
      onControl?.({ mode, holder, mine });
    },
    onCut: (text) => {
      if (!options.clipboard || text === lastCut) return;
      lastCut = text;
      // Refused while the page is not in front, or not permitted: the desktop's own clipboard still has it.
      navigator.clipboard?.writeText(text).catch(() => undefined);
    },
    onGone: () => become('frozen', 'The picture is interrupted and comes back by itself.'),
    onRefused: ({ message }) => become('refused', message),
  });
  const room = relay.subscribe(`container:${containerId}`, {
    onEvent: ({ type, data }) => {
      const state = (type === 'container.snapshot' ? data.state : type.slice('container.'.length)) as string;
      const ended = ENDED[state as ContainerState];
      const starting = STARTING[state as ContainerState];
      if (ended) {
        hasEnded = true;
        become('ended', ended);
      } else if (starting && (!shown || state === 'stopping' || state === 'paused')) {
        become(state === 'paused' ? 'frozen' : 'starting', starting);
      } else if (state === 'resumed' && shown) {
        become('live', '');
      }
    },
  });

  /** What was copied elsewhere is offered to the desktop when the user comes back to it. */
  const offer = async () => {
    if (!options.clipboard || closed || !shown || shown.rfb.viewOnly) return;
    const text = await navigator.clipboard?.readText().catch(() => '');
    if (!text || text === lastCut || text.length > MAX_OFFERED) return;
    lastCut = text;
    screen.input({ t: 'cut', text });
  };
  element.addEventListener('pointerenter', offer);
  window.addEventListener('focus', offer);

  become('connecting', 'Connecting…');
  return {
    control: async (action) => {
      holder = await screen.control(action);
      mine = action !== 'release';
      apply();
      onControl?.({ mode, holder, mine });
      return holder;
    },
    scale: (next) => {
      scaling = next;
      apply();
    },
    focus: () => shown?.rfb.focus(),
    close: () => {
      if (closed) return;
      closed = true;
      element.removeEventListener('pointerenter', offer);
      window.removeEventListener('focus', offer);
      room.unsubscribe();
      screen.close();
      shown?.rfb.disconnect();
      stage.remove();
      veil.remove();
    },
  };
}
