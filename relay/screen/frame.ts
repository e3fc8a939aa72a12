import type { FrameHead } from '@warmwind/shared/contract/screen';
import { Prebuilt } from '../sockets/prebuilt.ts';
import type { Wire } from '../sockets/wire.ts';

/** A frame of a screen as the viewers of this node are sent it. */
export class Frame {
  readonly head: FrameHead;
  /** What it counts for in a viewer's window. */
  readonly bytes: number;
  /** When it came, on the clock of `performance.now()`. */
  readonly at = performance.now();
  readonly #prebuilt: Prebuilt;

  /** @param args of the event before the binary, its name first */
  constructor(head: FrameHead, args: [string, ...unknown[]], payload: Buffer) {
    this.head = head;
    this.bytes = payload.length;
    this.#prebuilt = new Prebuilt(args, payload);
  }

  send(wire: Wire): void {
    this.#prebuilt.send(wire);
  }
}
