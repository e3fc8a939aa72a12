import { type Connection, connect } from './client.ts';
import { ContainerClient } from './container.ts';
import { createEdgeClient, type EdgeClient } from './http.ts';
import { type JobOptions, submitAndWait } from './jobs.ts';
import type { CommandInput } from './submission.ts';
import { Transport, type TransportOptions } from './transport.ts';

/**
 * Creates a client for agents: desktops as objects that act, look, run programs and move files. It works in Node,
 * browsers and workerd.
 *
 * @example
 * const warmwind = createWarmwind({ url: 'https://api.example.com', token });
 * const desktop = await warmwind.start({ width: 1280, height: 720 });
 * await desktop.click(640, 360);
 * await desktop.type('Hello');
 * const picture = await desktop.screenshot({ maxWidth: 1024 });
 * await desktop.stop();
 */
export const createWarmwind = (options: TransportOptions): Warmwind => new Warmwind(options);

/** The client of {@link createWarmwind}. */
export class Warmwind {
  /** Every route of the edge. */
  readonly edge: EdgeClient;
  readonly #transport: Transport;
  #relay: Promise<Connection> | undefined;

  constructor(options: TransportOptions) {
    this.#transport = new Transport(options);
    this.edge = createEdgeClient(options);
  }

  /**
   * Starts a desktop and waits until it runs. An abort stops it.
   *
   * @param input its size, lifetime and limits; the defaults of the edge where left out
   * @throws JobFailedError when it does not start
   * @throws RequestError when the edge refuses or stays unavailable
   * @throws the reason of the signal as soon as it aborts
   */
  async start(
    input: CommandInput<'container.start'> = {},
    options: JobOptions = {},
  ): Promise<ContainerClient> {
    const stop = (accepted: { containerId: string }) =>
      this.edge.stopContainer({ containerId: accepted.containerId });
    const { containerId } = await submitAndWait(this.edge, 'container.start', input, options, stop);
    return this.container(containerId);
  }

  /** The object of a container that exists. It sends nothing. */
  container(id: string): ContainerClient {
    return new ContainerClient(id, {
      edge: this.edge,
      transport: this.#transport,
      relay: () => this.relay(),
    });
  }

  /**
   * Connects to the relay, once for all sessions and screens of this client.
   *
   * @throws RequestError when the edge refuses a ticket
   */
  relay(): Promise<Connection> {
    this.#relay ??= this.#connect().catch((error: unknown) => {
      this.#relay = undefined;
      throw error;
    });
    return this.#relay;
  }

  /** Closes the connection to the relay. Running desktops continue. */
  async close(): Promise<void> {
    const relay = this.#relay;
    this.#relay = undefined;
    (await relay?.catch(() => undefined))?.close();
  }

  async #connect(): Promise<Connection> {
    const { url } = await this.edge.createTicket();
    return connect({ url, token: async () => (await this.edge.createTicket()).token });
  }
}
