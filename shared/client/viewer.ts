import RFB from '@novnc/novnc';
import {
  type ControlAction,
  type Holder,
  holdingViewer,
  type Requester,
  type ScreenInput,
} from '../contract/screen.ts';
import { CONTAINER_STATE_AFTER, isContainerEvent } from '../contract/states.ts';
import type { Connection } from './client.ts';
import { ViewerClipboard } from './clipboard.ts';
import { droppedText, NOT_HOLDER, VIEW_ONLY } from './dropped.ts';
import { LEAVE_KEYS, listenForLeaving } from './leave.ts';
import { Pressed } from './pressed.ts';
import { Resizer } from './resizer.ts';
import { RfbChannel } from './rfb-channel.ts';
import type { ScreenMode } from './screen.ts';
import { type ScreenStatus, statusOf, type ViewerState } from './status.ts';
import { StatusOverlay } from './status-overlay.ts';

/** Who may do what; `viewerId` is this viewer's own. */
export type ViewerControl = { mode: ScreenMode; viewerId: string; holder: Holder | null; mine: boolean };

export type ViewerOptions = {
  relay: Connection;
  containerId: string;
  /**
   * `fit` (default) scales the picture into the element, `none` scrolls. `resize` keeps the desktop at the element's size
   * while this viewer holds control, within `SIZES`, and is as `fit` while it does not.
   */
  scaling?: 'fit' | 'resize' | 'none';
  /**
   * Shares the clipboard in both directions, by gestures of the user alone (default: false). Pasting into the picture
   * (Ctrl+V, Cmd+V, Shift+Insert or the browser's menu) carries the text into the desktop. A text that is copied in the
   * desktop by the user's own Ctrl+C, Ctrl+X or Ctrl+Insert goes to this computer's clipboard; any other is offered by
   * a button over the picture, and kept until the desktop copies the next one. Ask whoever is a guest first.
   */
  clipboard?: boolean;
  onState?: (state: ViewerState, text: string) => void;
  onControl?: (control: ViewerControl) => void;
  /** Another viewer asks for control: the owner grants it by `control('grant', viewerId)`, the holder releases it. */
  onRequest?: (viewer: Requester) => void;
  /** The user left the picture by Ctrl+Alt+Shift: give the focus to what comes next (default: to the end of the picture). */
  onLeave?: () => void;
};

export type Viewer = {
  /** See `Screen.control`. */
  control: (action: ControlAction, viewerId?: string) => Promise<Holder | null>;
  /** Shares the clipboard from now on, or no longer: see `ViewerOptions.clipboard`. */
  shareClipboard: (shared: boolean) => void;
  /**
   * Puts a text on the desktop's clipboard, whether or not that is shared: for a button or field of the page.
   * @returns false when the text is too long, or the desktop does not take this viewer's input
   */
  paste: (text: string) => Promise<boolean>;
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
  const exit = addExit(element);
  const overlay = new StatusOverlay(element, exit);
  const pressed = new Pressed();

  let scaling = options.scaling ?? 'fit';
  let shown: { rfb: RFB; channel: RfbChannel; canvas: HTMLCanvasElement } | undefined;
  let known: ScreenStatus = { watching: false, picture: false };
  let status = statusOf(known);
  let control: ViewerControl = { mode: 'view', viewerId: '', holder: null, mine: false };
  let closed = false;
  let hinted = false;

  const notify = () => {
    const frozen = status.state === 'frozen';
    overlay.show(status.text, frozen);
    stage.style.filter = frozen ? 'saturate(.4)' : '';
    onState?.(status.state, status.text);
  };
  const learn = (change: Partial<ScreenStatus>) => {
    if (closed) return;
    known = { ...known, ...change };
    const before = status;
    status = statusOf(known);
    follow();
    if (status.text !== before.text || status.state !== before.state) notify();
  };
  const takesInput = () => !closed && status.state === 'live' && shown?.rfb.viewOnly === false;
  const follow = () => resizer.follow(scaling === 'resize' && control.mine && status.state === 'live');
  /** The relay drops input of a viewer that does not hold control: the keyboard stays with the page. */
  const apply = () => {
    if (!shown) return;
    const { rfb, canvas } = shown;
    const viewOnly = control.mode === 'view' || (control.holder !== null && !control.mine);
    // noVNC itself releases nothing any more once it may only view.
    if (viewOnly && !rfb.viewOnly) for (const input of pressed.allUp) send(input);
    rfb.viewOnly = viewOnly;
    canvas.tabIndex = viewOnly ? -1 : 0;
    rfb.scaleViewport = scaling === 'fit' || (scaling === 'resize' && !control.mine);
    follow();
  };
  const decide = (change: Partial<ViewerControl>) => {
    control = { ...control, ...change };
    apply();
    onControl?.(control);
  };
  const send = (input: ScreenInput) => {
    pressed.note(input);
    if (status.state === 'live') screen.input(input);
    else if (presses(input)) overlay.notice(droppedText({ reason: 'no_desktop', count: 1 }));
  };
  const show = (width: number, height: number): RfbChannel => {
    if (shown) return shown.channel;
    const channel = new RfbChannel({ width, height, onInput: send });
    const rfb = new RFB(stage, channel, { shared: true });
    rfb.background = 'transparent';
    shown = { rfb, channel, canvas: labelled(stage) };
    apply();
    return channel;
  };

  const resizer = new Resizer({
    element: stage,
    ask: (w, h) => send({ t: 'resize', w, h }),
    notice: (text) => overlay.notice(text),
  });
  const screen = relay.watch(containerId, {
    onWatching: ({ mode, viewerId, holder, mine }) => {
      decide({ mode, viewerId, holder, mine });
      learn({ watching: true, refused: undefined });
    },
    onKey: (bytes, width, height) => {
      show(width, height).key(bytes, width, height);
      resizer.has(width, height);
      learn({ picture: true, gone: undefined });
    },
    onFrame: (bytes) => shown?.channel.frame(bytes),
    onControl: (holder, mine) => decide({ holder, mine }),
    onRequest: (viewer) => options.onRequest?.(viewer),
    onDropped: (dropped) => overlay.notice(droppedText(dropped)),
    onClipboard: (text) => clipboard.copied(text),
    onClipboardTooLarge: () => clipboard.copiedTooLong(),
    onGone: (gone) => learn({ gone }),
    onRefused: ({ code, message }) => learn({ refused: code === 'unauthenticated' ? NO_TICKET : message }),
  });
  const room = relay.subscribe(`container:${containerId}`, {
    onEvent: (event) => {
      if (event.type === 'container.snapshot') {
        learn({ desktop: event.data.state, reason: event.data.endReason });
      } else if (isContainerEvent(event)) {
        const reason = 'reason' in event.data ? event.data.reason : undefined;
        learn({ desktop: CONTAINER_STATE_AFTER[event.type], reason });
      }
    },
  });

  /** Input that would vanish: its user reads why. */
  const refuse = (event: Event) => {
    const { mode, holder, mine } = control;
    if (status.state !== 'live' || mine || (mode === 'control' && !holder)) return;
    if (event instanceof KeyboardEvent && /^(Tab|Control|Alt|Shift|Meta)/.test(event.key)) return;
    overlay.notice(mode === 'view' ? VIEW_ONLY : NOT_HOLDER);
  };
  /** The way out is shown to each user once, and whenever the keyboard has led into the picture. */
  const entered = () => {
    if (!takesInput() || (hinted && !shown?.canvas.matches(':focus-visible'))) return;
    hinted = true;
    overlay.notice(`${LEAVE_KEYS} leaves the screen by keyboard.`);
  };
  /** A key that is held down while the focus goes elsewhere would stay so. */
  const left = () => {
    const ups = pressed.keysUp;
    if (!shown || ups.length === 0) return;
    for (const input of ups) send(input);
    // noVNC forgets them, too.
    const { viewOnly } = shown.rfb;
    shown.rfb.viewOnly = true;
    shown.rfb.viewOnly = viewOnly;
  };
  stage.addEventListener('pointerdown', refuse, true);
  stage.addEventListener('keydown', refuse, true);
  stage.addEventListener('focusin', entered);
  stage.addEventListener('focusout', left);
  const stopListening = listenForLeaving(stage, () => {
    exit.focus({ preventScroll: true });
    options.onLeave?.();
  });
  const clipboard = new ViewerClipboard({ stage, overlay, takesInput, send });
  clipboard.enable(options.clipboard ?? false);

  notify();
  return {
    control: async (action, viewerId) => {
      const holder = await screen.control(action, viewerId);
      decide({ holder, mine: holdingViewer(holder) === control.viewerId });
      return holder;
    },
    shareClipboard: (shared) => clipboard.enable(shared),
    paste: async (text) => {
      if (control.mode === 'control' && !control.holder) await screen.control('request');
      return takesInput() && clipboard.put(text);
    },
    scale: (next) => {
      scaling = next;
      apply();
    },
    focus: () => shown?.rfb.focus(),
    close: () => {
      if (closed) return;
      closed = true;
      stopListening();
      resizer.follow(false);
      clipboard.close();
      room.unsubscribe();
      screen.close();
      shown?.rfb.disconnect();
      stage.remove();
      exit.remove();
      overlay.remove();
      element.style.position = position;
    },
  };
}

const presses = (input: ScreenInput): boolean =>
  (input.t === 'key' && input.down) || (input.t === 'ptr' && input.mask !== 0);

/** Where the focus goes when the keyboard leaves the picture: Tab goes on from there, Shift+Tab goes back. */
function addExit(element: HTMLElement): HTMLElement {
  const exit = document.createElement('span');
  exit.tabIndex = -1;
  exit.textContent = 'End of the desktop’s screen.';
  exit.style.cssText =
    'position:absolute;bottom:1em;left:1em;padding:.4em 1em;border-radius:8px;background:#0c0e12;color:#e8eaed;' +
    'font:500 14px/1.4 system-ui,sans-serif';
  const show = (shown: boolean) => {
    exit.style.clipPath = shown ? '' : 'inset(50%)';
    exit.style.pointerEvents = 'none';
  };
  exit.addEventListener('focus', () => show(true));
  exit.addEventListener('blur', () => show(false));
  show(false);
  element.append(exit);
  return exit;
}

/** noVNC's canvas, such that a keyboard finds it and a screen reader names it. */
function labelled(stage: HTMLElement): HTMLCanvasElement {
  const canvas = stage.querySelector('canvas');
  if (!canvas) throw new Error('noVNC has made no canvas');
  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-label', `The desktop’s screen. ${LEAVE_KEYS} leaves it.`);
  canvas.style.outline = '';
  canvas.style.outlineOffset = '-3px';
  return canvas;
}
