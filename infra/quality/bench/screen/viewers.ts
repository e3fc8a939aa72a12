import { connect } from '@warmwind/shared/client/client';
import { type Corner, Marker } from './marker.ts';
import { openStub } from './stub.ts';
import { type Looking, lookFor, readUpdate } from './update.ts';

/** The messages that a process of viewers accepts: open viewers, reset the counts, or report them. */
export type ViewersMessage = { open: Opening } | 'reset' | 'report';
export type Opening = {
  count: number;
  /** A relay with a ticket, or websockify. */
  to: { relay: string; token: string; containerId: string } | { websockify: string };
  /** The position of the marker; without it they only count. */
  corner?: Corner;
};
/**
 * Sums over all viewers. `blind`: viewers without an update. `ages`: latency of each change of the marker,
 * ms.
 */
export type ViewersReport = { updates: number; bytes: number; ages: number[]; blind: number };

/** The counts of one viewer. */
export class Seen {
  updates = 0;
  bytes = 0;
  ages: number[] = [];

  look(age: number | undefined): void {
    if (age !== undefined) this.ages.push(age);
  }
}

const viewers: Seen[] = [];

function open({ count, to, corner }: Opening): void {
  for (let opened = 0; opened < count; opened++) {
    const seen = new Seen();
    viewers.push(seen);
    const looking = corner && lookFor(new Marker(corner), 'relay' in to);
    if ('relay' in to) openWatcher(to, seen, looking);
    else openStub(to.websockify, seen, looking);
  }
}

/** Opens our own client, which acknowledges as in a browser. */
function openWatcher(to: Extract<Opening['to'], { relay: string }>, seen: Seen, looking?: Looking): void {
  const take = (bytes: Uint8Array) => {
    const at = performance.timeOrigin + performance.now();
    seen.updates += 1;
    seen.bytes += bytes.length;
    if (!looking) return;
    readAll(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), looking);
    seen.look(looking.marker.age(at));
  };
  const relay = connect({ url: to.relay, token: to.token });
  relay.watch(to.containerId, { onKey: take, onFrame: take });
}

function readAll(message: Buffer, looking: Looking): void {
  const reader = readUpdate(looking);
  let step = reader.next(Buffer.alloc(0));
  for (let at = 1; !step.done; ) {
    const wanted = Number(step.value);
    step = reader.next(message.subarray(at, at + wanted));
    at += wanted;
  }
}

function report(): ViewersReport {
  const sum = (of: (seen: Seen) => number) => viewers.reduce((all, seen) => all + of(seen), 0);
  return {
    updates: sum((seen) => seen.updates),
    bytes: sum((seen) => seen.bytes),
    ages: viewers.flatMap((seen) => seen.ages),
    blind: viewers.filter((seen) => seen.updates === 0).length,
  };
}

process.on('message', (message: ViewersMessage) => {
  if (message === 'report') return void process.send?.(report());
  if (message === 'reset') for (const seen of viewers) Object.assign(seen, new Seen());
  else open(message.open);
  process.send?.('ok');
});
process.on('disconnect', () => process.exit(0));
