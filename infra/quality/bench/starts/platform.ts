import { createEdgeClient, type EdgeClient } from '@warmwind/shared/client/http';
import type { Envelope } from '@warmwind/shared/contract/rooms';
import { io, type Socket } from 'socket.io-client';
import type { StackFile } from '../../../local/stack/state.ts';
import { waitFor } from '../../testing/wait.ts';

/** A client of the complete platform: an edge client, and a stock socket that sees all of its user's events. */
export class PlatformClient {
  readonly edge: EdgeClient;
  readonly #stack: StackFile;
  readonly #socket: Socket;

  private constructor(stack: StackFile, edge: EdgeClient, socket: Socket) {
    this.#stack = stack;
    this.edge = edge;
    this.#socket = socket;
  }

  static async open(stack: StackFile): Promise<PlatformClient> {
    const edge = createEdgeClient({ url: stack.edge, token: stack.tokens.user, retries: { attempts: 1 } });
    const { token } = await edge.createTicket();
    const socket = io(stack.relay, { transports: ['websocket'], auth: { token }, forceNew: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    return new PlatformClient(stack, edge, socket);
  }

  close(): void {
    this.#socket.disconnect();
  }

  /** Starts a desktop and watches it at once. @returns the time from the request to its first picture, ms */
  async startDesktop(spec: object): Promise<{ containerId: string; ms: number }> {
    const begun = performance.now();
    const { containerId } = await this.edge.startContainer(spec);
    const shown = this.#next('vnc:key', (id: string) => id === containerId);
    const answer = await this.#socket.timeout(60_000).emitWithAck('vnc:watch', { containerId });
    if (!answer.ok) throw new Error(`the desktop is not shown: ${answer.message}`);
    await shown;
    return { containerId, ms: performance.now() - begun };
  }

  /** Whether a running desktop was taken from the warm pool. */
  async isWarm(containerId: string): Promise<boolean> {
    const { warm } = await waitFor('the desktop', async () => {
      const found = await this.edge.getContainer(containerId);
      return found.state === 'running' ? found : undefined;
    });
    return warm === true;
  }

  /** Stops a desktop and waits until nothing of it is left. */
  async stopDesktop(containerId: string): Promise<void> {
    this.#socket.emit('vnc:unwatch', { containerId }, () => undefined);
    await this.edge.stopContainer({ containerId });
    await waitFor(
      'its end',
      async () => (await this.edge.getContainer(containerId)).state === 'stopped',
      60_000,
    );
  }

  /** Runs a job that does nothing. @returns the time from the request to its end at the socket, ms */
  async emptyJob(model: string): Promise<number> {
    const begun = performance.now();
    const { jobId } = await this.edge.infer({ model, prompt: 'x' });
    const ended = this.#next(
      'job.completed',
      ({ data }: Envelope) => (data as { jobId: string }).jobId === jobId,
    );
    const answer = await this.#socket.timeout(60_000).emitWithAck('subscribe', { room: `job:${jobId}` });
    if (!answer.ok) throw new Error(`the job is not followed: ${answer.message}`);
    await ended;
    return performance.now() - begun;
  }

  /** Waits until every worker has one instance in its warm pool. */
  async filledPools(): Promise<void> {
    for (const { url } of this.#stack.workers) {
      await waitFor(
        'the warm pool',
        async () =>
          /^warmwind_warm_pool_instances\{.*\} 1$/m.test(await (await fetch(`${url}/metrics`)).text()),
        30_000,
      );
    }
  }

  #next<Args extends unknown[]>(event: string, isIt: (...args: Args) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const listener = (...args: unknown[]) => {
        if (!isIt(...(args as Args))) return;
        this.#socket.off(event, listener);
        resolve();
      };
      this.#socket.on(event, listener);
    });
  }
}
