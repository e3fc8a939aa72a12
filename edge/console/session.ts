/**
 * The key of the token in the tab's storage. The tab also passes the token to a new tab of the same browser.
 */
const TOKEN = 'warmwind-token';
const CHANNEL = 'warmwind-session';
/** How long a new tab waits for the answers of other tabs, ms. */
const ANSWER_MS = 250;

/**
 * The messages between tabs of one origin. The token is never in an address, nor in storage that outlives the
 * tabs.
 */
type Message =
  | { t: 'ask'; id: string }
  /** `usedAt`: when that tab was last used, ms since 1970. */
  | { t: 'token'; id: string; token: string; usedAt: number }
  | { t: 'leave'; token: string };

/** The session of the user who is logged in in this tab. */
export class Session {
  readonly #channel: BroadcastChannel;
  readonly #onChange: (token: string) => void;
  #token = sessionStorage.getItem(TOKEN) ?? '';
  #usedAt = Date.now();

  /** @param onChange receives the token, '' when the user has logged out in any tab */
  constructor(onChange: (token: string) => void) {
    this.#onChange = onChange;
    this.#channel = new BroadcastChannel(CHANNEL);
    this.#channel.addEventListener('message', ({ data }: MessageEvent<Message>) => this.#receive(data));
    for (const type of ['pointerdown', 'keydown', 'focus']) addEventListener(type, this.#used, true);
  }

  get token(): string {
    return this.#token;
  }

  /**
   * Finds the token of this tab, or else of the tab that was used last.
   * @returns '' when no tab has one
   */
  async find(): Promise<string> {
    if (this.#token) return this.#token;
    const id = newRequestId();
    let latest: Extract<Message, { t: 'token' }> | undefined;
    const listen = ({ data }: MessageEvent<Message>) => {
      if (data.t !== 'token' || data.id !== id) return;
      if (!latest || data.usedAt > latest.usedAt) latest = data;
    };
    this.#channel.addEventListener('message', listen);
    this.#post({ t: 'ask', id });
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    this.#channel.removeEventListener('message', listen);
    if (latest && !this.#token) this.#keep(latest.token);
    return this.#token;
  }

  enter(token: string): void {
    this.#keep(token);
    this.#onChange(token);
  }

  /** Logs out all tabs that have the same token: otherwise they would log in a new tab. */
  leave(): void {
    if (this.#token) this.#post({ t: 'leave', token: this.#token });
    this.#forget();
  }

  close(): void {
    this.#channel.close();
    for (const type of ['pointerdown', 'keydown', 'focus']) removeEventListener(type, this.#used, true);
  }

  readonly #used = (): void => {
    this.#usedAt = Date.now();
  };

  #receive(message: Message): void {
    if (message.t === 'ask' && this.#token) {
      this.#post({ t: 'token', id: message.id, token: this.#token, usedAt: this.#usedAt });
    } else if (message.t === 'leave' && message.token === this.#token) {
      this.#forget();
    }
  }

  #keep(token: string): void {
    sessionStorage.setItem(TOKEN, token);
    this.#token = token;
  }

  #forget(): void {
    sessionStorage.removeItem(TOKEN);
    this.#token = '';
    this.#onChange('');
  }

  #post(message: Message): void {
    this.#channel.postMessage(message);
  }
}

const newRequestId = (): string => crypto.getRandomValues(new Uint32Array(4)).join('-');
