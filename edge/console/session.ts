/** The tab remembers who is logged in, and passes it on to a tab that the same browser opens while it is open. */
const TOKEN = 'warmwind-token';
const CHANNEL = 'warmwind-session';
/** How long a new tab waits for the answers of others, ms. */
const ANSWER_MS = 250;

/** What tabs of one origin send each other. Neither an address nor what outlives the tabs ever holds the token. */
type Message =
  | { t: 'ask'; id: string }
  /** `usedAt`: when that tab was last used, ms since 1970. */
  | { t: 'token'; id: string; token: string; usedAt: number }
  | { t: 'leave'; token: string };

/** Who is logged in in this tab. */
export class Session {
  readonly #channel: BroadcastChannel;
  readonly #onChange: (token: string) => void;
  #token = sessionStorage.getItem(TOKEN) ?? '';
  #usedAt = Date.now();

  /** @param onChange receives the token, '' when the user has left in whichever tab */
  constructor(onChange: (token: string) => void) {
    this.#onChange = onChange;
    this.#channel = new BroadcastChannel(CHANNEL);
    this.#channel.addEventListener('message', ({ data }: MessageEvent<Message>) => this.#receive(data));
    for (const type of ['pointerdown', 'keydown', 'focus']) addEventListener(type, this.#used, true);
  }

  get token(): string {
    return this.#token;
  }

  /** Resolves with the token of this tab or else of the one that was used last; '' when no tab has one. */
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

  /** Ends it in all tabs that have the same token: a new tab would be logged in by the others. */
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
