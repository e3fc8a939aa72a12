import RFB from '@novnc/novnc';
import type { ContainerState } from '../containers.ts';
import { fitsClipboard, type Holder, MAX_CUT_TEXT, MAX_OFFER_BYTES, type ScreenInput } from '../screen.ts';
import type { Connection } from './client.ts';
import { RfbChannel } from './rfb-channel.ts';
import type { ScreenMode } from './screen.ts';
import { type Known, statusOf, type ViewerState } from './status.ts';
import { Veil } from './veil.ts';

/** Who may do what; `viewerId` is this viewer's own. */
export type ViewerControl = { mode: ScreenMode; viewerId: string; holder: Holder | null; mine: boolean };

export type ViewerOptions = {
  relay: Connection;
  containerId: string;
  /** `fit` (default) scales the picture into the element, `resize` asks the desktop for the element's size, `none` scrolls. */
  scaling?: 'fit' | 'resize' | 'none';
  /** Both ways, as far as the browser permits: what is copied there can be pasted here, and the other way round. */
  clipboard?: boolean;
  onState?: (state: ViewerState, text: string) => void;
  onControl?: (control: ViewerControl) => void;
};

export type Viewer = {
  /** See `Screen.control`. */
  control: (action: 'request' | 'release' | 'take') => Promise<Holder | null>;
  scale: (scaling: 'fit' | 'resize' | 'none') => void;
  focus: () => void;
  /** Leaves the element as it was. */
  close: () => void;
};

const NO_TICKET = 'This link or ticket no longer works: ask the desktop’s owner for a new one.';

/**
 * Shows a desktop in `element`, live, and goes on by itself over reconnects. It follows the desktop's own room, so that it
 * can say why there is no picture, or why that is frozen; input is taken while it is live.
 *
 * @example
 * const relay = connect({ url, token });
 * const viewer = createViewer(document.querySelector('#screen'), { relay, containerId });
 */
export function createViewer(element: HTMLElement, options: ViewerOptions): Viewer {
  const { relay, containerId, onState, onControl } = options;
  const stage = document.createElement('div');
  stage.style.cssText = 'position:absolute;inset:0;overflow:auto';
  const { position } = element.style;
  if (getComputedStyle(element).position === 'static') element.style.position = 'relative';
  element.append(stage);
  const veil = new Veil(element);

  let scaling = options.scaling ?? 'fit';
  let shown: { rfb: RFB; channel: RfbChannel } | undefined;
  let known: Known = { watching: false, picture: false };
  let status = statusOf(known);
  let control: ViewerControl = { mode: 'view', viewerId: '', holder: null, mine: false };
  let closed = false;
  /** The last text that either clipboard had: it is not sent back to where it came from. */
  let lastCut = '';

  const tell = () => {
    const frozen = status.state === 'frozen';
    veil.show(status.text, frozen);
    stage.style.filter = frozen ? 'saturate(.4)' : '';
    onState?.(status.state, status.text);
  };
  const learn = (news: Partial<Known>) => {
    if (closed) return;
    known = { ...known, ...news };
    const before = status;
    status = statusOf(known);
    if (status.text !== before.text || status.state !== before.state) tell();
  };
  /** Input of who may not send any would be dropped at the relay: the keyboard stays with the page. */
  const apply = () => {
    if (!shown) return;
    const { rfb } = shown;
    rfb.viewOnly = control.mode === 'view' || (control.holder !== null && !control.mine);
    rfb.scaleViewport = scaling === 'fit';
    rfb.resizeSession = scaling === 'resize' && !rfb.viewOnly;
  };
  const decide = (news: Partial<ViewerControl>) => {
    control = { ...control, ...news };
    apply();
    onControl?.(control);
  };
  const send = (input: ScreenInput) => {
    if (status.state === 'live') screen.input(input);
  };
  const show = (width: number, height: number): RfbChannel => {
    if (shown) return shown.channel;
    const channel = new RfbChannel({ width, height, onInput: send });
    const rfb = new RFB(stage, channel as unknown as WebSocket, { shared: true });
    rfb.background = 'transparent';
    shown = { rfb, channel };
    apply();
    return channel;
  };

  const screen = relay.watch(containerId, {
    onWatching: ({ mode, viewerId, holder, mine }) => {
      decide({ mode, viewerId, holder, mine });
      learn({ watching: true, refused: undefined });
    },
    onKey: (bytes, width, height) => {
      show(width, height).key(bytes, width, height);
      learn({ picture: true, gone: undefined });
    },
    onFrame: (bytes) => shown?.channel.frame(bytes),
    onControl: (holder, mine) => decide({ holder, mine }),
    onCut: (text) => {
      if (!options.clipboard || text === lastCut) return;
      lastCut = text;
      // Refused while the page is not in front, or not permitted: the desktop's own clipboard still has it.
      navigator.clipboard?.writeText(text).catch(() => undefined);
    },
    onCutTooLong: () => {
      if (!options.clipboard) return;
      const most = Math.floor(MAX_CUT_TEXT / 1024);
      veil.notice(`What was copied in the desktop is too long to be pasted here: at most ${most} K letters.`);
    },
    onGone: (gone) => learn({ gone }),
    onRefused: ({ code, message }) => learn({ refused: code === 'unauthenticated' ? NO_TICKET : message }),
  });
  const room = relay.subscribe(`container:${containerId}`, {
    onEvent: ({ type, data }) => {
      const named = type === 'container.snapshot' ? String(data.state) : type.slice('container.'.length);
      const runs = named === 'started' || named === 'resumed';
      learn({ desktop: runs ? 'running' : (named as ContainerState) });
    },
  });

  /** What was copied elsewhere is offered to the desktop when the user comes back to it. */
  const offer = async () => {
    const may = () => !closed && status.state === 'live' && shown?.rfb.viewOnly === false;
    if (!options.clipboard || !may()) return;
    const text = await navigator.clipboard?.readText().catch(() => '');
    if (!text || text === lastCut || !may()) return;
    lastCut = text;
    if (fitsClipboard(text)) return send({ t: 'cut', text });
    const most = Math.floor(MAX_OFFER_BYTES / 1024);
    veil.notice(`What you have copied is too long to be pasted in the desktop: at most ${most} KB.`);
  };
  element.addEventListener('pointerenter', offer);
  window.addEventListener('focus', offer);

  tell();
  return {
    control: async (action) => {
      const holder = await screen.control(action);
      decide({ holder, mine: holder?.viewerId === control.viewerId });
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
      element.style.position = position;
    },
  };
}
