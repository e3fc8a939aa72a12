import { FitAddon } from '@xterm/addon-fit';
import { Terminal as Xterm } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';

export type TerminalSize = { cols: number; rows: number };

export type TerminalViewOptions = {
  onInput: (bytes: Uint8Array) => void;
  /** Called when the element has room for another number of characters. */
  onSize: (size: TerminalSize) => void;
  /** Called with whether text is selected. */
  onSelection: (selected: boolean) => void;
};

/** A terminal in the page. This module is loaded when the first one is opened: it shares no module with others. */
export class TerminalView {
  readonly #xterm: Xterm;
  readonly #fit = new FitAddon();
  readonly #resizes: ResizeObserver;
  readonly #dark = matchMedia('(prefers-color-scheme: dark)');
  readonly #recolour = () => {
    this.#xterm.options.theme = themeOf(this.#element);
  };
  readonly #element: HTMLElement;

  /** @param element an empty element with a size */
  constructor(element: HTMLElement, { onInput, onSize, onSelection }: TerminalViewOptions) {
    this.#element = element;
    this.#xterm = new Xterm({
      fontFamily: 'ui-monospace, monospace',
      fontSize: 14,
      scrollback: 5000,
      cursorBlink: true,
      minimumContrastRatio: 4.5,
      theme: themeOf(element),
    });
    this.#xterm.loadAddon(this.#fit);
    this.#xterm.open(element);
    this.#fit.fit();
    this.#xterm.onData((text) => onInput(new TextEncoder().encode(text)));
    this.#xterm.onBinary((text) => onInput(Uint8Array.from(text, (char) => char.charCodeAt(0))));
    this.#xterm.onResize(onSize);
    this.#xterm.onSelectionChange(() => onSelection(this.#xterm.hasSelection()));
    this.#xterm.attachCustomKeyEventHandler((event) => this.#isForTerminal(event));
    this.#resizes = new ResizeObserver(() => this.#fit.fit());
    this.#resizes.observe(element);
    this.#dark.addEventListener('change', this.#recolour);
  }

  get size(): TerminalSize {
    return { cols: this.#xterm.cols, rows: this.#xterm.rows };
  }

  /** The selected text; '' for none. */
  get selection(): string {
    return this.#xterm.getSelection();
  }

  /** Shows output. Resolves when it was processed, so that a fast program waits for a slow page. */
  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.#xterm.write(bytes, resolve));
  }

  /** Inputs a text as if it were pasted. */
  paste(text: string): void {
    this.#xterm.paste(text);
  }

  focus(): void {
    this.#xterm.focus();
  }

  close(): void {
    this.#resizes.disconnect();
    this.#dark.removeEventListener('change', this.#recolour);
    this.#xterm.dispose();
  }

  /** Leaves the keys that copy and paste to the browser; every other key goes to the program. */
  #isForTerminal({ type, ctrlKey, shiftKey, code }: KeyboardEvent): boolean {
    if (type !== 'keydown') return true;
    if ((ctrlKey && shiftKey && code === 'KeyV') || (shiftKey && code === 'Insert')) return false;
    const copies = ctrlKey && (code === 'KeyC' || code === 'Insert');
    return !copies || !(shiftKey || this.#xterm.hasSelection());
  }
}

/** The colours of the console for a terminal. */
function themeOf(element: HTMLElement) {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  return {
    background: colour('--panel'),
    foreground: colour('--text'),
    cursor: colour('--warm'),
    cursorAccent: colour('--panel'),
    selectionBackground: `${colour('--warm')}55`,
  };
}
