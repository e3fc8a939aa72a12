import type { FrameHead } from '@warmwind/shared/screen';
import { Prebuilt } from '../sockets/prebuilt.ts';
import type { RelayServer } from '../sockets/socket.ts';
import type { Wire } from '../sockets/wire.ts';

/** A frame of a screen as the viewers of this node are sent it. */
export class Frame {
  readonly head: FrameHead;
  /** What it counts for in a viewer's window. */
  readonly bytes: number;
  /** When it came, on the clock of `performance.now()`. */
  readonly at = performance.now();
  readonly #prebuilt: Prebuilt;

  /** @param args of the event, its name first; the last is the binary */
  constructor(io: RelayServer, head: FrameHead, args: [...unknown[], Buffer]) {
    this.head = head;
    this.bytes = (args.at(-1) as Buffer).length;
    this.#prebuilt = new Prebuilt(io, args);
  }

  send(wire: Wire): void {
    this.#prebuilt.send(wire);
  }
}
