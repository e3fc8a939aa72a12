import RFB from '@novnc/novnc';
import {
  type ControlAction,
  type Holder,
  holdingViewer,
  inputsIn,
  type Requester,
  type ScreenInput,
} from '../contract/screen.ts';
import { type ActionEvent, CONTAINER_STATE_AFTER, isContainerEvent } from '../contract/states.ts';
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
import { TextField } from './text-field.ts';
import { typeInPieces } from './typing.ts';

/** The permission of a viewer and the holder of control. */
export type ViewerControl = {
  /** The permission of the ticket. */
  mode: ScreenMode;
  /** The id of this viewer. */
  viewerId: string;
  /** The holder of control; `null` while control is free. */
  holder: Holder | null;
  /** Does this viewer hold control? */
  mine: boolean;
};

/** Options of {@link createViewer}. */
export type ViewerOptions = {
  /** A connection of `connect`. */
  relay: Connection;
  /** The container of the desktop. */
  containerId: string;
  /**
   * How the screen fits the element. `fit` scales the screen; `none` scrolls. `resize` keeps the desktop at
   * the element's size, within `SIZES`, while this viewer holds control, and acts as `fit` otherwise.
   * Default: `fit`.
   */
  scaling?: 'fit' | 'resize' | 'none';
  /**
   * Shares the clipboard in both directions, only by gestures of the user. Pasting into the screen (Ctrl+V,
   * Cmd+V, Shift+Insert or the browser's menu) sends the text to the desktop. A text that the user copies in
   * the desktop by Ctrl+C, Ctrl+X or Ctrl+Insert goes to this computer's clipboard. Any other copied text is
   * offered by a button over the screen until the next one. Ask a guest for consent first. Default: false.
   */
  clipboard?: boolean;
  /** Called with each new state, and its text for the user; the text is empty while `live`. */
  onState?: (state: ViewerState, text: string) => void;
  /** Called when the permission or the holder of control changes. */
  onControl?: (control: ViewerControl) => void;
  /** Called when another viewer requests control. The owner may grant it; the holder may release it. */
  onRequest?: (viewer: Requester) => void;
  /** Called when an agent has acted on the desktop, for viewers that may follow its room. */
  onAction?: (action: ActionEvent['data']) => void;
  /** Called when the user leaves the screen by Ctrl+Alt+Shift. The focus is then at the end of the screen. */
  onLeave?: () => void;
};

/** A viewer in a page, of {@link createViewer}. */
export type Viewer = {
  /** Requests, releases, takes or grants control: see `Screen.control`. */
  control: (action: ControlAction, viewerId?: string) => Promise<Holder | null>;
  /** Starts or stops sharing the clipboard: see `ViewerOptions.clipboard`. */
  shareClipboard: (shared: boolean) => void;
  /**
   * Puts a text on the desktop's clipboard, also while the clipboard is not shared: for a button or field of
   * the page. It requests control when control is free.
   *
   * @returns false when the text is too long, or the desktop does not accept this viewer's input
   */
  paste: (text: string) => Promise<boolean>;
  /**
   * Types a text into the desktop: for a field of the page. It requests control when control is free, and
   * takes 1 ms for a character of a US keyboard, up to 10 ms for any other.
   *
   * @returns the number of characters sent: fewer than the text has when the desktop stops accepting this
   *   viewer's input, or for control characters; a notice shows how many did not reach the desktop after all
   */
  type: (text: string) => Promise<number>;
  /** Sets the scaling: see `ViewerOptions.scaling`. */
  scale: (scaling: 'fit' | 'resize' | 'none') => void;
  /** Moves the keyboard focus into the screen. On a phone, call it by a button to show the keyboard. */
  focus: () => void;
  /** Stops watching, and restores the element. */
  close: () => void;
};

const NO_TICKET = 'This link or ticket no longer works. Ask the desktop’s owner for a new one.';

/**
 * Shows a live desktop in `element`, and reconnects automatically. It subscribes to the desktop's room, so
 * that it can show why there is no screen or why the screen is frozen. It accepts input while it is live.
 *
 * @param element an empty element with a size
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
  let shown: { rfb: RFB; channel: RfbChannel; canvas: HTMLCanvasElement; field: TextField } | undefined;
  let facts: ScreenStatus = { watching: false, picture: false };
  let status = statusOf(facts);
  let control: ViewerControl = { mode: 'view', viewerId: '', holder: null, mine: false };
  let closed = false;
  let hinted = false;

  const notify = () => {
    const frozen = status.state === 'frozen';
    overlay.show(status.text, frozen);
    stage.style.filter = frozen ? 'saturate(.4)' : '';
    onState?.(status.state, status.text);
  };
  const updateStatus = (change: Partial<ScreenStatus>) => {
    if (closed) return;
    facts = { ...facts, ...change };
    const before = status;
    status = statusOf(facts);
    updateResizer();
    if (status.text !== before.text || status.state !== before.state) notify();
  };
  const takesInput = () => !closed && status.state === 'live' && shown?.rfb.viewOnly === false;
  const updateResizer = () => resizer.follow(scaling === 'resize' && control.mine && status.state === 'live');
  /** Applies control and scaling. The keyboard stays with the page unless this viewer may send input. */
  const apply = () => {
    if (!shown) return;
    const { rfb, canvas } = shown;
    const viewOnly = control.mode === 'view' || (control.holder !== null && !control.mine);
    // noVNC does not release pressed keys once it may only view.
    if (viewOnly && !rfb.viewOnly) for (const input of pressed.allUp) send(input);
    rfb.viewOnly = viewOnly;
    canvas.tabIndex = viewOnly ? -1 : 0;
    rfb.scaleViewport = scaling === 'fit' || (scaling === 'resize' && !control.mine);
    updateResizer();
  };
  const updateControl = (change: Partial<ViewerControl>) => {
    control = { ...control, ...change };
    apply();
    onControl?.(control);
  };
  const send = (input: ScreenInput) => {
    pressed.note(input);
    if (status.state === 'live') screen.input(input);
    else if (presses(input)) overlay.notice(droppedText({ reason: 'no_desktop', count: inputsIn(input) }));
  };
  const show = (width: number, height: number): RfbChannel => {
    if (shown) return shown.channel;
    const channel = new RfbChannel({ width, height, onInput: send });
    const rfb = new RFB(stage, channel, { shared: true });
    rfb.background = 'transparent';
    const canvas = labelled(stage);
    const field = new TextField({ stage, canvas, takesInput, send });
    rfb.focus = () => (rfb.viewOnly ? canvas.focus({ preventScroll: true }) : field.focus());
    shown = { rfb, channel, canvas, field };
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
      updateControl({ mode, viewerId, holder, mine });
      updateStatus({ watching: true, refused: undefined });
    },
    onKey: (bytes, width, height) => {
      show(width, height).key(bytes, width, height);
      resizer.has(width, height);
      updateStatus({ picture: true, gone: undefined });
    },
    onFrame: (bytes) => shown?.channel.frame(bytes),
    onControl: (holder, mine) => updateControl({ holder, mine }),
    onRequest: (viewer) => options.onRequest?.(viewer),
    onDropped: (dropped) => overlay.notice(droppedText(dropped)),
    onClipboard: (text) => clipboard.copied(text),
    onClipboardTooLarge: () => clipboard.copiedTooLong(),
    onGone: (gone) => updateStatus({ gone }),
    onRefused: ({ code, message }) =>
      updateStatus({ refused: code === 'unauthenticated' ? NO_TICKET : message }),
  });
  const room = relay.subscribe(`container:${containerId}`, {
    onEvent: (event) => {
      if (event.type === 'container.snapshot') {
        updateStatus({ desktop: event.data.state, reason: event.data.endReason });
      } else if (event.type === 'container.action') {
        options.onAction?.(event.data);
      } else if (isContainerEvent(event)) {
        const reason = 'reason' in event.data ? event.data.reason : undefined;
        updateStatus({ desktop: CONTAINER_STATE_AFTER[event.type], reason });
      }
    },
  });

  /** Shows why input is not sent. */
  const refuse = (event: Event) => {
    const { mode, holder, mine } = control;
    if (status.state !== 'live' || mine || (mode === 'control' && !holder)) return;
    if (event instanceof KeyboardEvent && /^(Tab|Control|Alt|Shift|Meta)/.test(event.key)) return;
    overlay.notice(mode === 'view' ? VIEW_ONLY : NOT_HOLDER);
  };
  /** Shows how the keyboard leaves the screen: once, and whenever the keyboard moved the focus into it. */
  const showLeaveHint = () => {
    if (!takesInput() || (hinted && !shown?.canvas.matches(':focus-visible'))) return;
    hinted = true;
    overlay.notice(`${LEAVE_KEYS} leaves the screen by keyboard.`);
  };
  /** Moves the keyboard from the picture to the field for text. */
  const passFocus = ({ target }: FocusEvent) => {
    if (!shown || target !== shown.canvas || shown.rfb.viewOnly) return;
    if (shown.canvas.matches(':focus-visible')) shown.canvas.style.outline = 'auto';
    shown.field.focus();
  };
  /** Releases held keys when the focus leaves, because their release would not be sent. */
  const releaseKeys = ({ relatedTarget }: FocusEvent) => {
    if (relatedTarget instanceof Node && stage.contains(relatedTarget)) return;
    if (shown) shown.canvas.style.outline = '';
    const ups = pressed.keysUp;
    if (!shown || ups.length === 0) return;
    for (const input of ups) send(input);
    // Makes noVNC forget these keys, too.
    const { viewOnly } = shown.rfb;
    shown.rfb.viewOnly = true;
    shown.rfb.viewOnly = viewOnly;
  };
  stage.addEventListener('pointerdown', refuse, true);
  stage.addEventListener('keydown', refuse, true);
  stage.addEventListener('focusin', showLeaveHint);
  stage.addEventListener('focusin', passFocus);
  stage.addEventListener('focusout', releaseKeys);
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
      updateControl({ holder, mine: holdingViewer(holder) === control.viewerId });
      return holder;
    },
    shareClipboard: (shared) => clipboard.enable(shared),
    paste: async (text) => {
      if (control.mode === 'control' && !control.holder) await screen.control('request');
      return takesInput() && clipboard.put(text);
    },
    type: async (text) => {
      if (control.mode === 'control' && !control.holder) await screen.control('request');
      return typeInPieces(text, (input) => {
        if (takesInput()) send(input);
        return takesInput();
      });
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
      shown?.field.remove();
      shown?.rfb.disconnect();
      stage.remove();
      exit.remove();
      overlay.remove();
      element.style.position = position;
    },
  };
}

const presses = (input: ScreenInput): boolean =>
  (input.t === 'key' && input.down) || (input.t === 'ptr' && input.mask !== 0) || input.t === 'text';

/** Adds the element that takes the focus when the keyboard leaves the screen. Tab continues from there. */
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

/** Labels noVNC's canvas for keyboards and screen readers. */
function labelled(stage: HTMLElement): HTMLCanvasElement {
  const canvas = stage.querySelector('canvas');
  if (!canvas) throw new Error('noVNC made no canvas. Use the noVNC version of this package.');
  canvas.setAttribute('role', 'application');
  canvas.setAttribute('aria-label', `The desktop’s screen. ${LEAVE_KEYS} leaves it.`);
  canvas.style.outline = '';
  canvas.style.outlineOffset = '-3px';
  return canvas;
}
