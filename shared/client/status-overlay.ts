/** A text with a button that stays until it is used, dismissed or replaced. */
export type Offer = { text: string; action: string; onAction: () => void; onDismiss: () => void };

/** Shows texts over a screen: its status, short notices, and offers with a button. */
export class StatusOverlay {
  readonly #status = document.createElement('div');
  readonly #notice = document.createElement('div');
  readonly #offer = document.createElement('div');
  /** Contains notices and offers, one above the other. */
  readonly #dock = document.createElement('div');
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #exit: HTMLElement;

  /**
   * @param element the element of the screen
   * @param exit takes the focus when a focused offer is removed
   */
  constructor(element: HTMLElement, exit: HTMLElement) {
    this.#exit = exit;
    for (const line of [this.#status, this.#notice]) {
      line.setAttribute('role', 'status');
      line.style.cssText =
        'position:absolute;pointer-events:none;text-align:center;color:#e8eaed;' +
        'font:500 15px/1.5 system-ui,sans-serif;display:none';
    }
    Object.assign(this.#notice.style, STRIP, { position: 'static' });
    this.#offer.style.cssText = OFFER;
    this.#dock.style.cssText = DOCK;
    this.#dock.append(this.#notice, this.#offer);
    element.append(this.#status, this.#dock);
  }

  /**
   * Shows the status.
   *
   * @param text hides the status when empty
   * @param isStrip shows a strip that keeps the screen readable, instead of covering it
   */
  show(text: string, isStrip: boolean): void {
    this.#status.textContent = text;
    Object.assign(this.#status.style, isStrip ? STRIP : COVER, { display: text ? 'grid' : 'none' });
  }

  /** Shows a text for eight seconds. */
  notice(text: string): void {
    clearTimeout(this.#timer);
    this.#notice.textContent = text;
    this.#notice.style.display = 'grid';
    this.#timer = setTimeout(() => {
      this.#notice.style.display = 'none';
    }, 8000);
  }

  /** Shows an offer; `undefined` removes it. */
  offer(offer: Offer | undefined): void {
    if (this.#offer.contains(document.activeElement)) this.#exit.focus({ preventScroll: true });
    this.#offer.replaceChildren();
    this.#offer.style.display = offer ? 'flex' : 'none';
    if (!offer) return;
    const text = document.createElement('span');
    text.setAttribute('role', 'status');
    const [use, dismiss] = [document.createElement('button'), document.createElement('button')];
    for (const button of [use, dismiss]) {
      button.type = 'button';
      button.style.cssText = BUTTON;
      // A click leaves the keyboard where it is.
      button.addEventListener('mousedown', (event) => event.preventDefault());
    }
    use.textContent = offer.action;
    use.addEventListener('click', offer.onAction);
    dismiss.textContent = '×';
    dismiss.setAttribute('aria-label', 'Dismiss');
    dismiss.addEventListener('click', () => {
      this.offer(undefined);
      offer.onDismiss();
    });
    this.#offer.append(text, use, dismiss);
    // Screen readers announce changes of an element that is in the document already.
    text.textContent = offer.text;
  }

  /** Removes all texts from the page. */
  remove(): void {
    clearTimeout(this.#timer);
    this.#status.remove();
    this.#dock.remove();
  }
}

const DOCK =
  'position:absolute;inset:auto 1em 1em;display:flex;flex-direction:column;align-items:center;gap:.5em;' +
  'pointer-events:none';
const OFFER =
  'pointer-events:auto;align-self:end;display:none;flex-wrap:wrap;align-items:center;' +
  'gap:.5em;padding:.5em .6em;border-radius:8px;background:rgb(12 14 18 / 92%);color:#e8eaed;' +
  'font:500 14px/1.4 system-ui,sans-serif';
const BUTTON =
  'font:inherit;color:#fff;background:#2f3845;border:1px solid #8b95a3;border-radius:6px;padding:.25em .7em;cursor:pointer';
const COVER = {
  inset: '0',
  placeItems: 'center',
  padding: '1em',
  width: 'auto',
  margin: '0',
  borderRadius: '0',
  background: 'rgb(12 14 18 / 86%)',
};
const STRIP = {
  inset: '1em 1em auto',
  width: 'fit-content',
  margin: '0 auto',
  placeItems: 'center',
  padding: '.4em 1em',
  borderRadius: '8px',
  background: 'rgb(12 14 18 / 88%)',
};
