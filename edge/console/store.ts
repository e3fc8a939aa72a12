import { batch, signal } from '@preact/signals';
import { type Connection, connect, type State } from '@warmwind/shared/client/client';
import type { RequestError } from '@warmwind/shared/client/http-errors';
import type { Container } from '@warmwind/shared/contract/containers';
import type { Job } from '@warmwind/shared/contract/jobs';
import { type Envelope, PRESENT } from '@warmwind/shared/contract/rooms';
import type { Ticket } from '@warmwind/shared/contract/tickets';
import { backoff } from '@warmwind/shared/runtime/backoff';
import type { Api } from './api.ts';
import { emptyInventory, type Inventory, SHOWN, withDesktops, withEvents, withJobs } from './inventory.ts';
import { Refresher } from './refresher.ts';

/** Events are applied together this often, ms. */
const APPLY_EVERY_MS = 50;
/** Desktops known only from events are looked up together, at most this often, ms. */
const LOOK_UP_EVERY_MS = 5000;
/** A ticket is reused while it is valid for longer than this, ms. */
const TICKET_LEFT_MS = 60_000;

/**
 * The data of one user's console: its lists are loaded once, then the events of the user's own room keep them
 * up to date.
 */
export class Store {
  readonly desktops = signal<Map<string, Container>>(new Map());
  readonly jobs = signal<Map<string, Job>>(new Map());
  /** The latest message of a job's progress, by job. */
  readonly messages = signal<Map<string, string>>(new Map());
  readonly connection = signal<State>('connecting');
  /** Why the relay refuses this page; '' while it does not. */
  readonly refused = signal('');
  readonly api: Api;
  readonly userId: string;
  readonly desktopList: Refresher;
  readonly jobList: Refresher;
  #inventory: Inventory = emptyInventory();
  /** Events to apply, and events that arrived while a list was read: they are applied once more after it. */
  #arrived: Envelope[] = [];
  #duringReads: Envelope[] = [];
  #reads = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #relay: Promise<Connection> | undefined;
  #ticket: Ticket | undefined;
  #closed = false;

  constructor(api: Api, userId: string) {
    this.api = api;
    this.userId = userId;
    this.desktopList = new Refresher(api, () => this.#readDesktops(), { spacingMs: LOOK_UP_EVERY_MS });
    this.jobList = new Refresher(api, () => this.#readJobs());
  }

  /** Opens one connection for the complete console; it waits until a ticket is granted. */
  relay(): Promise<Connection> {
    this.#relay ??= this.#connect();
    return this.#relay;
  }

  /** Loads the lists and follows the user's room. */
  load(): void {
    this.desktopList.request();
    this.jobList.request();
    const room = `user:${this.userId}` as const;
    this.relay().then(
      (relay) => relay.subscribe(room, { after: PRESENT, onEvent: (event) => this.#receive(event) }),
      () => undefined,
    );
  }

  /** Adds a desktop that was just requested here: it is shown with all fields before its first event. */
  add(desktop: Container): void {
    if (this.#inventory.desktops.has(desktop.id) && !this.#inventory.incomplete.has(desktop.id)) return;
    const { state = desktop.state } = this.#inventory.desktops.get(desktop.id) ?? {};
    this.#put(withDesktops(this.#inventory, [{ ...desktop, state }]));
  }

  /** Finds a desktop of the user that the lists may lack. Rejects when there is none. */
  findDesktop(id: string): Promise<Container> {
    return this.api.edge.getContainer(id);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.desktopList.close();
    this.jobList.close();
    (await this.#relay?.catch(() => undefined))?.close();
  }

  async #readDesktops(): Promise<void> {
    await this.#withEventsDuring(async () => {
      const { edge } = this.api;
      const { items: latest } = await edge.listContainers({ limit: SHOWN });
      const full = latest.length === SHOWN;
      const older = full ? (await edge.listContainers({ limit: SHOWN, state: 'running' })).items : [];
      this.#put(withDesktops(this.#inventory, [...older, ...latest]));
    });
  }

  async #readJobs(): Promise<void> {
    await this.#withEventsDuring(async () => {
      const { items } = await this.api.edge.listJobs({ limit: SHOWN });
      this.#put(withJobs(this.#inventory, items));
    });
  }

  /** Applies the events that arrived during a read again: a list may be older than they are. */
  async #withEventsDuring(read: () => Promise<void>): Promise<void> {
    this.#reads += 1;
    try {
      await read();
      this.#put(withEvents(this.#inventory, this.#duringReads));
    } finally {
      this.#reads -= 1;
      if (this.#reads === 0) this.#duringReads = [];
    }
  }

  #receive(event: Envelope): void {
    this.#arrived.push(event);
    this.#timer ??= setTimeout(() => this.#apply(), APPLY_EVERY_MS);
  }

  #apply(): void {
    this.#timer = undefined;
    const events = this.#arrived;
    this.#arrived = [];
    if (this.#reads > 0) this.#duringReads.push(...events);
    this.#put(withEvents(this.#inventory, events));
    if (this.#inventory.incomplete.size > 0) this.desktopList.request();
  }

  #put(inventory: Inventory): void {
    this.#inventory = inventory;
    batch(() => {
      this.desktops.value = inventory.desktops;
      this.jobs.value = inventory.jobs;
      this.messages.value = inventory.messages;
    });
  }

  async #connect(): Promise<Connection> {
    const { url } = await this.#goodTicket();
    return connect({
      url,
      token: async () => (await this.#goodTicket()).token,
      onState: (state) => {
        this.connection.value = state;
      },
      onError: ({ code, message, room }) => {
        if (code === 'unauthenticated') this.#ticket = undefined;
        if (code === 'forbidden' && !room) this.refused.value = message;
      },
    });
  }

  /** The present ticket, or a new one, which is requested until it is granted. */
  async #goodTicket(): Promise<Ticket> {
    for (let attempt = 1; !this.#closed; attempt++) {
      const held = this.#ticket;
      if (held && Date.parse(held.expiresAt) - Date.now() > TICKET_LEFT_MS) return held;
      try {
        this.#ticket = await this.api.edge.createTicket({ mode: 'control' });
        return this.#ticket;
      } catch (error) {
        const { retryAfterMs = 0 } = error as RequestError;
        await new Promise((resolve) => setTimeout(resolve, Math.max(retryAfterMs, backoff(attempt))));
      }
    }
    throw new Error('The user has logged out.');
  }
}
