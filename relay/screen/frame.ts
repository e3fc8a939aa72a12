import type { FrameHead } from '@warmwind/shared/contract/screen';
import { Prebuilt } from '../sockets/prebuilt.ts';
import type { Wire } from '../sockets/wire.ts';

/** A frame of a screen, encoded once for all viewers of this node. */
export class Frame {
  readonly head: FrameHead;
  /** Its size in a viewer's window. */
  readonly bytes: number;
  /** When it arrived, on the clock of `performance.now()`, ms. */
  readonly at = performance.now();
  readonly #prebuilt: Prebuilt;

  /** @param args the event's name and the arguments before the binary payload */
  constructor(head: FrameHead, args: [string, ...unknown[]], payload: Buffer) {
    this.head = head;
    this.bytes = payload.length;
    this.#prebuilt = new Prebuilt(args, payload);
  }

  send(wire: Wire): void {
    this.#prebuilt.send(wire);
  }
}
