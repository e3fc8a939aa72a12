import { KEYSYM } from '../contract/actions/keys.ts';
import { fitsClipboard, MAX_CLIPBOARD_CHARS, MAX_OFFER_BYTES, type ScreenInput } from '../contract/screen.ts';
import { copyText } from './copy.ts';
import type { StatusOverlay } from './status-overlay.ts';

/** A text that the desktop copies belongs to a copying key pressed within this time before, ms. */
const GESTURE_MS = 2000;

/** A pressed key that pastes, and whether Cmd was held. */
type PastingKey = { keysym: number; meta: boolean };

/** Options of {@link ViewerClipboard}. */
export type ViewerClipboardOptions = {
  /** The element of the screen, which has the keyboard focus while the user types into the desktop. */
  stage: HTMLElement;
  /** Shows notices and offers. */
  overlay: StatusOverlay;
  /** Does the desktop accept this viewer's input now? */
  takesInput: () => boolean;
  /** Sends input to the desktop. */
  send: (input: ScreenInput) => void;
};

/**
 * Connects the clipboards of a desktop and of this computer. Neither is read or written without a gesture of
 * the user. A paste into the screen sends the text to the desktop. A text that is copied in the desktop is
 * kept until the next one, and reaches this computer by the copying keys or by a button that offers it.
 */
export class ViewerClipboard {
  readonly #options: ViewerClipboardOptions;
  #enabled = false;
  /** The newest text of the desktop that has not been copied to this computer. */
  #kept: string | undefined;
  /** The last text that this viewer put on the desktop's clipboard. */
  #pasted = '';
  #gestureAt = Number.NEGATIVE_INFINITY;
  /** A pressed pasting key, until the browser's paste event or its release. */
  #pasting: PastingKey | undefined;
  /** The keysym of the held Ctrl key. */
  #control: number | undefined;

  constructor(options: ViewerClipboardOptions) {
    this.#options = options;
    options.stage.addEventListener('keydown', this.#onKeyDown, true);
    options.stage.addEventListener('keyup', this.#onKeyUp, true);
    document.addEventListener('paste', this.#onPaste, true);
  }

  /**
   * Enables or disables the exchange. While disabled, no text is read from or offered to this computer; the
   * newest text of the desktop is kept.
   */
  enable(enabled: boolean): void {
    this.#enabled = enabled;
    this.#show();
  }

  /** Handles a text that was copied in the desktop. */
  copied(text: string): void {
    if (text === this.#pasted) return;
    this.#kept = text;
    const byUser = performance.now() - this.#gestureAt < GESTURE_MS;
    this.#gestureAt = Number.NEGATIVE_INFINITY;
    if (this.#enabled && byUser) void this.#copy();
    else this.#show();
  }

  /** Handles a text that was copied in the desktop and is too long to be sent to viewers. */
  copiedTooLong(): void {
    this.#kept = undefined;
    this.#show();
    if (!this.#enabled) return;
    const most = Math.floor(MAX_CLIPBOARD_CHARS / 1024);
    this.#options.overlay.notice(
      `The text copied in the desktop is too long to be pasted here: at most ${most} K characters.`,
    );
  }

  /**
   * Puts a text on the desktop's clipboard.
   *
   * @returns false when the text is too long
   */
  put(text: string): boolean {
    if (!fitsClipboard(text)) {
      const most = Math.floor(MAX_OFFER_BYTES / 1024);
      this.#options.overlay.notice(
        `The text that you copied is too long to be pasted in the desktop: at most ${most} KB.`,
      );
      return false;
    }
    this.#pasted = text;
    this.#options.send({ t: 'cut', text });
    return true;
  }

  /** Removes all listeners. */
  close(): void {
    const { stage } = this.#options;
    stage.removeEventListener('keydown', this.#onKeyDown, true);
    stage.removeEventListener('keyup', this.#onKeyUp, true);
    document.removeEventListener('paste', this.#onPaste, true);
  }

  #show(): void {
    const text = this.#kept;
    const offer = this.#enabled && text !== undefined;
    this.#options.overlay.offer(
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

  /** Copies the kept text to this computer. A text that the browser refuses stays on offer. */
  async #copy(): Promise<void> {
    const text = this.#kept;
    if (text === undefined) return;
    const copied = await copyText(text);
    if (this.#kept !== text) return;
    if (copied) this.#kept = undefined;
    this.#show();
    this.#options.overlay.notice(
      copied
        ? 'Copied to this computer.'
        : 'The browser did not permit the copy. Press “Copy to this computer” again.',
    );
  }

  readonly #onKeyDown = (event: KeyboardEvent): void => {
    if (!this.#enabled || !this.#options.takesInput()) return;
    const { key, code, ctrlKey, metaKey, altKey, shiftKey } = event;
    if (code === 'ControlLeft') this.#control = KEYSYM.Control_L;
    else if (code === 'ControlRight') this.#control = KEYSYM.Control_R;
    else if (!ctrlKey) this.#control = undefined;
    const [letter, chord] = [key.toLowerCase(), (ctrlKey || metaKey) && !altKey];
    if (chord && (letter === 'c' || letter === 'x' || key === 'Insert')) this.#gestureAt = performance.now();
    const pastes = (chord && letter === 'v') || (shiftKey && key === 'Insert');
    if (!pastes) return;
    // Otherwise noVNC prevents the browser's paste.
    event.stopImmediatePropagation();
    this.#pasting = {
      keysym: key === 'Insert' ? KEYSYM.Insert : key.charCodeAt(0),
      meta: metaKey && !ctrlKey,
    };
  };

  readonly #onKeyUp = (event: KeyboardEvent): void => {
    const isPasting = event.key === 'Insert' || event.key.toLowerCase() === 'v';
    // The browser had no text to paste: the desktop pastes its own clipboard.
    if (isPasting && this.#pasting !== undefined) this.#press(this.#pasting);
  };

  readonly #onPaste = (event: ClipboardEvent): void => {
    const { stage, takesInput } = this.#options;
    if (!this.#enabled || !stage.contains(document.activeElement) || !takesInput()) return;
    event.preventDefault();
    event.stopPropagation();
    const key = this.#pasting;
    this.#pasting = undefined;
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (text !== '' && !this.put(text)) return;
    if (key) this.#press(key);
    else this.#options.overlay.notice('The text is on the desktop’s clipboard. Paste it there.');
  };

  /** Sends a pasting key with Ctrl. noVNC may not have sent the held Ctrl, and sends a Mac's Cmd as Alt. */
  #press({ keysym, meta }: PastingKey): void {
    this.#pasting = undefined;
    const send = (key: number, down: boolean) => this.#options.send({ t: 'key', keysym: key, down });
    const control = meta ? KEYSYM.Control_L : this.#control;
    if (meta) send(KEYSYM.Alt_L, false);
    if (control !== undefined) send(control, true);
    for (const down of [true, false]) send(keysym, down);
    if (meta) send(KEYSYM.Control_L, false);
  }
}
