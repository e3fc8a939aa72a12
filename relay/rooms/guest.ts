import type { AnyEnvelope } from '@warmwind/shared/contract/rooms';
import { Prebuilt } from '../sockets/prebuilt.ts';
import type { Listener } from './listener.ts';

/**
 * Fields of containers and their events that are their owner's: the output of one that failed, the owner's labels, and
 * on which host it runs and how it came there. All of them are optional.
 */
const OF_OWNER = ['exit', 'labels', 'host', 'warm'];

/** A listener with a share link: it receives all but the fields of the owner. */
export const guestListener = ({ outlet, send }: Listener): Listener => ({
  outlet,
  send: (event, prebuilt) => {
    const shown = forGuest(event);
    send(shown, shown === event ? prebuilt : new Prebuilt([shown.type, shown]));
  },
});

function forGuest(event: AnyEnvelope): AnyEnvelope {
  const { data } = event;
  if (typeof data !== 'object' || data === null || !OF_OWNER.some((name) => name in data)) return event;
  const rest = Object.entries(data).filter(([name]) => !OF_OWNER.includes(name));
  return { ...event, data: Object.fromEntries(rest) };
}
