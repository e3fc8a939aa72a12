/** Words over a picture: in its place, or beside it while it can still be read; and short notices. */
export class Veil {
  readonly #words = document.createElement('div');
  readonly #notice = document.createElement('div');
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(element: HTMLElement) {
    for (const line of [this.#words, this.#notice]) {
      line.setAttribute('role', 'status');
      line.style.cssText =
        'position:absolute;pointer-events:none;text-align:center;color:#e8eaed;' +
        'font:500 15px/1.5 system-ui,sans-serif;display:none';
    }
    Object.assign(this.#notice.style, { ...STRIP, inset: 'auto 1em 1em' });
    element.append(this.#words, this.#notice);
  }

  /** @param beside leaves what is under it readable */
  show(text: string, beside: boolean): void {
    this.#words.textContent = text;
    Object.assign(this.#words.style, beside ? STRIP : COVER, { display: text ? 'grid' : 'none' });
  }

  /** For some seconds. */
  notice(text: string): void {
    clearTimeout(this.#timer);
    this.#notice.textContent = text;
    this.#notice.style.display = 'grid';
    this.#timer = setTimeout(() => {
      this.#notice.style.display = 'none';
    }, 8000);
  }

  remove(): void {
    clearTimeout(this.#timer);
    this.#words.remove();
    this.#notice.remove();
  }
}

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
