import type { ServerResponse } from 'node:http';
import { type AnyEnvelope, isTerminalEvent } from '@warmwind/shared/contract/rooms';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { Outgoing, Outlet } from '../outgoing.ts';
import { EndSnapshot, endPosition } from './job.ts';
import type { Listener } from './listener.ts';

const encoder = new TextEncoder();

/**
 * A job's room as server-sent events. The stream ends once it has sent the end of the latest run. A client
 * that does not read is disconnected, and resumes after the last event that it received.
 */
export class EventStream implements Listener {
  readonly body: ReadableStream<Uint8Array>;
  readonly outlet: Outlet;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #outgoing: ServerResponse;
  readonly #isLatest: (run: number) => Promise<boolean>;
  readonly #metrics: Metrics;
  readonly #heartbeatTimer: NodeJS.Timeout;
  #closed = false;
  /** The run whose end was sent last. */
  #endedRun: number | undefined;
  /** Unread packets and bytes, and the number of packets that the client has read. */
  #packets = 0;
  #bytes = 0;
  #readPackets = 0;
  #readPacketsBefore = -1;

  /** @param isLatest checks whether the end of a run is the end of its job */
  constructor(
    outgoing: ServerResponse,
    isLatest: (run: number) => Promise<boolean>,
    metrics: Metrics,
    { held, subject }: { held: Outgoing; subject: string },
  ) {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    this.body = readable;
    this.#writer = writable.getWriter();
    this.#outgoing = outgoing;
    this.#isLatest = isLatest;
    this.#metrics = metrics;
    this.outlet = held.open(subject, {
      heldBytes: () => this.#bytes + outgoing.writableLength,
      close: () => this.interrupt(),
    });
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), LIMITS.heartbeatMs);
    outgoing.once('close', () => {
      this.outlet.close();
      this.close();
    });
  }

  send(event: AnyEnvelope): void {
    // After a lost log come the present state and perhaps the same end again: the client has received it.
    const alreadySent = this.#endedRun !== undefined && (event.run ?? 0) <= this.#endedRun;
    if (this.#closed || alreadySent) return;
    const { type, run } = event;
    const endSnapshot = type === 'job.snapshot' ? EndSnapshot.safeParse(event.data).data : undefined;
    const end = endSnapshot !== undefined || isTerminalEvent(type);
    // The rest of the log is not sent after an end, so the client must not resume within it.
    const id = endSnapshot ? endPosition(endSnapshot) : event.id;
    this.#write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ ...event, id })}\n\n`);
    if (end && run !== undefined) this.#ended(run);
  }

  /** Ends the stream after the events that were written, at the latest after `slowMs`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeatTimer);
    this.#writer.close().catch(() => undefined);
    const slowTimer = setTimeout(() => this.#outgoing.destroy(), LIMITS.slowMs).unref();
    this.#outgoing.once('close', () => clearTimeout(slowTimer));
  }

  /** Ends the stream at once and drops its unread events. */
  interrupt(): void {
    this.close();
    this.#outgoing.destroy();
  }

  #tooSlow(): void {
    if (!this.#closed) this.#metrics.slow.inc();
    this.interrupt();
  }

  /** Closes when no later run is known. A failed lookup is repeated at the next heartbeat. */
  #ended(run: number): void {
    this.#endedRun = run;
    this.#isLatest(run).then(
      (latest) => latest && this.close(),
      () => undefined,
    );
  }

  #write(text: string): void {
    const bytes = encoder.encode(text);
    this.#packets += 1;
    this.#bytes += bytes.byteLength;
    const onRead = () => {
      this.#packets -= 1;
      this.#bytes -= bytes.byteLength;
      this.#readPackets += 1;
    };
    this.#writer.write(bytes).then(onRead, () => undefined);
    this.outlet.sent(bytes.byteLength);
  }

  #heartbeat(): void {
    if (this.#packets > 0 && this.#readPackets === this.#readPacketsBefore) {
      this.#tooSlow();
      return;
    }
    this.#readPacketsBefore = this.#readPackets;
    this.#write(': still here\n\n');
    if (this.#endedRun !== undefined) this.#ended(this.#endedRun);
  }
}
