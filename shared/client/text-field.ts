import { KEYSYM } from '../contract/actions/keys.ts';
import { MAX_TYPED_INPUT_CHARS, type ScreenInput } from '../contract/screen.ts';
import { pieces } from './typing.ts';

/** Before the text: a phone's keyboard has something to delete. */
const BEFORE = ' '.repeat(20);
/** A longer text is forgotten, except while it is composed. */
const MAX_CHARS = 500;
/** The `keyCode` of a key that a composition takes. */
const COMPOSING = 229;

/** Options of {@link TextField}. */
export type TextFieldOptions = {
  /** The element of the screen; the field is added to it. */
  stage: HTMLElement;
  /** Receives the keys that are not part of a composition. */
  canvas: HTMLCanvasElement;
  /** Does the desktop accept this viewer's input now? */
  takesInput: () => boolean;
  /** Sends input to the desktop. */
  send: (input: ScreenInput) => void;
};

/**
 * A field that has the keyboard focus while the user types into the desktop, because browsers offer input
 * methods and the keyboards of phones only for text. It is not visible. Keys go to noVNC. The text that an
 * input method commits, or a phone's keyboard enters or corrects, is typed: what it replaces is deleted
 * before.
 */
export class TextField {
  readonly #options: TextFieldOptions;
  readonly #field = document.createElement('textarea');
  /** The content that the desktop has. */
  #typed = BEFORE;
  #composing = false;

  constructor(options: TextFieldOptions) {
    this.#options = options;
    const field = this.#field;
    field.tabIndex = -1;
    field.autocapitalize = 'off';
    field.autocomplete = 'off';
    field.spellcheck = false;
    field.setAttribute('autocorrect', 'off');
    field.setAttribute('aria-label', options.canvas.getAttribute('aria-label') ?? '');
    field.style.cssText =
      'position:absolute;left:0;top:0;width:1px;height:1.2em;padding:0;border:0;outline:0;opacity:0;resize:none;' +
      'overflow:hidden;white-space:pre;font-size:16px;pointer-events:none;caret-color:transparent';
    for (const type of ['keydown', 'keyup'] as const) field.addEventListener(type, this.#onKey);
    field.addEventListener('compositionstart', () => {
      this.#composing = true;
    });
    field.addEventListener('compositionend', () => {
      this.#composing = false;
      this.#read();
    });
    field.addEventListener('input', () => this.#read());
    field.addEventListener('blur', () => this.#forget());
    options.stage.addEventListener('pointerdown', this.#follow, true);
    options.stage.append(field);
    this.#forget();
  }

  /** Moves the keyboard focus into it. */
  focus(): void {
    this.#field.focus({ preventScroll: true });
  }

  remove(): void {
    this.#options.stage.removeEventListener('pointerdown', this.#follow, true);
    this.#field.remove();
  }

  /** Passes a key to noVNC. A key that noVNC took enters no text here. */
  readonly #onKey = (event: KeyboardEvent): void => {
    const { key, code, location, repeat, ctrlKey, shiftKey, altKey, metaKey } = event;
    const composes = event.isComposing || event.keyCode === COMPOSING;
    if (composes || key === 'Dead' || key === 'Process' || (key === 'Unidentified' && code === '')) return;
    const copy = new KeyboardEvent(event.type, {
      ...{ key, code, location, repeat, ctrlKey, shiftKey, altKey, metaKey },
      modifierAltGraph: event.getModifierState('AltGraph'),
      modifierCapsLock: event.getModifierState('CapsLock'),
      modifierNumLock: event.getModifierState('NumLock'),
      cancelable: true,
    });
    if (this.#options.canvas.dispatchEvent(copy)) return;
    event.preventDefault();
    if (event.type === 'keydown') this.#forget();
  };

  /** Types the difference between the content and the content that the desktop has. */
  #read(): void {
    if (this.#composing) return;
    const [before, now] = [[...this.#typed], [...this.#field.value]];
    const same = now.findIndex((character, at) => character !== before[at]);
    const kept = same < 0 ? Math.min(now.length, before.length) : same;
    this.#typed = this.#field.value;
    if (this.#options.takesInput()) this.#type(before.length - kept, now.slice(kept).join(''));
    if (this.#typed.length > MAX_CHARS || this.#typed.length < BEFORE.length / 2) this.#forget();
  }

  #type(deleted: number, text: string): void {
    const { send } = this.#options;
    for (let n = 0; n < deleted; n++)
      for (const down of [true, false]) send({ t: 'key', keysym: KEYSYM.BackSpace, down });
    for (const piece of pieces(text, MAX_TYPED_INPUT_CHARS)) send({ t: 'text', text: piece });
  }

  #forget(): void {
    if (this.#composing) return;
    this.#field.value = BEFORE;
    this.#field.setSelectionRange(BEFORE.length, BEFORE.length);
    this.#typed = BEFORE;
  }

  /** Moves to the pointer, where an input method shows its candidates. */
  readonly #follow = (event: PointerEvent): void => {
    const { stage } = this.#options;
    const { left, top } = stage.getBoundingClientRect();
    this.#field.style.left = `${Math.max(0, Math.min(event.clientX - left, stage.clientWidth - 2) + stage.scrollLeft)}px`;
    this.#field.style.top = `${Math.max(0, Math.min(event.clientY - top, stage.clientHeight - 24) + stage.scrollTop)}px`;
  };
}
