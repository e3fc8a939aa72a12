import type { AnyEnvelope } from '@warmwind/shared/contract/rooms';
import { Prebuilt } from '../sockets/prebuilt.ts';
import type { Listener } from './listener.ts';

/** A listener with a share link: it receives all but the output of a desktop that failed, which is its owner's. */
export const guestListener = ({ outlet, send }: Listener): Listener => ({
  outlet,
  send: (event, prebuilt) => {
    const shown = withoutExit(event);
    send(shown, shown === event ? prebuilt : new Prebuilt([shown.type, shown]));
  },
});

function withoutExit(event: AnyEnvelope): AnyEnvelope {
  const { data } = event;
  if (typeof data !== 'object' || data === null || !('exit' in data)) return event;
  const { exit: _exit, ...rest } = data;
  return { ...event, data: rest };
}
