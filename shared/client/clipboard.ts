import { fitsClipboard, MAX_CLIPBOARD_CHARS, MAX_OFFER_BYTES, type ScreenInput } from '../contract/screen.ts';
import { copyText } from './copy.ts';
import type { StatusOverlay } from './status-overlay.ts';

/** How long a copying key of the user stands for the text that the desktop copies next, ms. */
const GESTURE_MS = 2000;
const KEY = { controlLeft: 0xffe3, controlRight: 0xffe4, altLeft: 0xffe9, insert: 0xff63 } as const;

/** A key that pastes, and what it was pressed with. */
type PastingKey = { keysym: number; meta: boolean };

export type ViewerClipboardOptions = {
  /** Where the desktop is typed into. */
  stage: HTMLElement;
  overlay: StatusOverlay;
  /** Does the desktop take this viewer's input now? */
  takesInput: () => boolean;
  send: (input: ScreenInput) => void;
};

/**
 * The clipboards of a desktop and of this computer. Neither is read or written without a gesture of the user: a paste
 * into the picture carries a text there; a text that is copied there is kept until the next one, and reaches this
 * computer by the keys that copy or by the button that offers it.
 */
export class ViewerClipboard {
  readonly #o: ViewerClipboardOptions;
  #enabled = false;
  /** The newest text that was copied in the desktop, while it has not been copied to this computer. */
  #kept: string | undefined;
  /** The last text that this viewer put on the desktop's clipboard. */
  #pasted = '';
  #gestureAt = Number.NEGATIVE_INFINITY;
  /** From when such a key goes down until the browser's paste follows, or does not. */
  #pasting: PastingKey | undefined;
  /** The Ctrl that is held. */
  #control: number | undefined;

  constructor(options: ViewerClipboardOptions) {
    this.#o = options;
    options.stage.addEventListener('keydown', this.#onKeyDown, true);
    options.stage.addEventListener('keyup', this.#onKeyUp, true);
    document.addEventListener('paste', this.#onPaste, true);
  }

  /** While it is disabled nothing is taken from or offered to this computer; the newest text is kept. */
  enable(enabled: boolean): void {
    this.#enabled = enabled;
    this.#show();
  }

  /** A text was copied in the desktop. */
  copied(text: string): void {
    if (text === this.#pasted) return;
    this.#kept = text;
    const asked = performance.now() - this.#gestureAt < GESTURE_MS;
    this.#gestureAt = Number.NEGATIVE_INFINITY;
    if (this.#enabled && asked) void this.#copy();
    else this.#show();
  }

  /** A text was copied in the desktop that is longer than what is sent to viewers. */
  copiedTooLong(): void {
    this.#kept = undefined;
    this.#show();
    if (!this.#enabled) return;
    const most = Math.floor(MAX_CLIPBOARD_CHARS / 1024);
    this.#o.overlay.notice(
      `What was copied in the desktop is too long to be pasted here: at most ${most} K letters.`,
    );
  }

  /** Puts a text on the desktop's clipboard. → false when it is too long */
  put(text: string): boolean {
    if (!fitsClipboard(text)) {
      const most = Math.floor(MAX_OFFER_BYTES / 1024);
      this.#o.overlay.notice(
        `What you have copied is too long to be pasted in the desktop: at most ${most} KB.`,
      );
      return false;
    }
    this.#pasted = text;
    this.#o.send({ t: 'cut', text });
    return true;
  }

  close(): void {
    const { stage } = this.#o;
    stage.removeEventListener('keydown', this.#onKeyDown, true);
    stage.removeEventListener('keyup', this.#onKeyUp, true);
    document.removeEventListener('paste', this.#onPaste, true);
  }

  #show(): void {
    const text = this.#kept;
    const offer = this.#enabled && text !== undefined;
    this.#o.overlay.offer(
      offer
        ? {
            text: 'Copied in the desktop.',
            action: 'Copy to this computer',
            onAction: () => void this.#copy(),
            onDismiss: () => {
              if (this.#kept === text) this.#kept = undefined;
            },
          }
        : undefined,
    );
  }

  /** What the browser refuses stays on offer. */
  async #copy(): Promise<void> {
    const text = this.#kept;
    if (text === undefined) return;
    const copied = await copyText(text);
    if (this.#kept !== text) return;
    if (copied) this.#kept = undefined;
    this.#show();
    this.#o.overlay.notice(
      copied
        ? 'Copied to this computer.'
        : 'The browser did not permit the copy: press “Copy to this computer” again.',
    );
  }

  readonly #onKeyDown = (event: KeyboardEvent): void => {
    if (!this.#enabled || !this.#o.takesInput()) return;
    const { key, code, ctrlKey, metaKey, altKey, shiftKey } = event;
    if (code === 'ControlLeft') this.#control = KEY.controlLeft;
    else if (code === 'ControlRight') this.#control = KEY.controlRight;
    else if (!ctrlKey) this.#control = undefined;
    const [letter, chord] = [key.toLowerCase(), (ctrlKey || metaKey) && !altKey];
    if (chord && (letter === 'c' || letter === 'x' || key === 'Insert')) this.#gestureAt = performance.now();
    const pastes = (chord && letter === 'v') || (shiftKey && key === 'Insert');
    if (!pastes) return;
    // noVNC would keep the browser from pasting.
    event.stopImmediatePropagation();
    this.#pasting = { keysym: key === 'Insert' ? KEY.insert : key.charCodeAt(0), meta: metaKey && !ctrlKey };
  };

  readonly #onKeyUp = (event: KeyboardEvent): void => {
    const isPasting = event.key === 'Insert' || event.key.toLowerCase() === 'v';
    // The browser had nothing to paste: the desktop pastes what it has.
    if (isPasting && this.#pasting !== undefined) this.#press(this.#pasting);
  };

  readonly #onPaste = (event: ClipboardEvent): void => {
    const { stage, takesInput } = this.#o;
    if (!this.#enabled || !stage.contains(document.activeElement) || !takesInput()) return;
    event.preventDefault();
    event.stopPropagation();
    const key = this.#pasting;
    this.#pasting = undefined;
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (text !== '' && !this.put(text)) return;
    if (key) this.#press(key);
    else this.#o.overlay.notice('The text is on the desktop’s clipboard: paste it there.');
  };

  /** noVNC may not have sent yet that Ctrl is held; it sends a Mac's Cmd as Alt. */
  #press({ keysym, meta }: PastingKey): void {
    this.#pasting = undefined;
    const send = (key: number, down: boolean) => this.#o.send({ t: 'key', keysym: key, down });
    const control = meta ? KEY.controlLeft : this.#control;
    if (meta) send(KEY.altLeft, false);
    if (control !== undefined) send(control, true);
    for (const down of [true, false]) send(keysym, down);
    if (meta) send(KEY.controlLeft, false);
  }
}
