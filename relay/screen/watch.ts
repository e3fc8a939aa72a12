import { hasEnded } from '@warmwind/shared/containers';
import { CLIENT_EVENTS } from '@warmwind/shared/contract/socket';
import { ApiError } from '@warmwind/shared/errors';
import {
  type ControlAck,
  holdingViewer,
  ScreenInput,
  type ViewersAck,
  type WatchAck,
} from '@warmwind/shared/screen';
import { z } from 'zod';
import { subjectOf } from '../auth/ticket.ts';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import type { Known } from '../rooms/records.ts';
import type { Rates } from '../shares.ts';
import { Bucket } from '../sockets/bucket.ts';
import { badArgument, type Inbound } from '../sockets/inbound.ts';
import type { RelaySocket } from '../sockets/socket.ts';
import { openDesktop } from './access.ts';
import { Dropped } from './dropped.ts';
import { Input } from './input.ts';
import { viewersOf } from './presence.ts';
import { publicHolder, type Screen } from './screen.ts';
import type { Screens } from './screens.ts';
import { Viewer } from './viewer.ts';

/** Its input is checked later: its sender is notified of one that is none. */
const SomeInput = CLIENT_EVENTS['vnc:input'].argument.extend({ input: z.unknown() });

type Watched = { screen: Screen; viewer: Viewer; input: Input };

/** The screens that one socket watches. */
export function handleScreens(
  socket: RelaySocket,
  inbound: Inbound,
  known: Known,
  screens: Screens,
  metrics: Metrics,
  lookups: Rates,
): void {
  const watched = new Map<string, Watched>();
  const opening = new Set<string>();
  const dropped = new Dropped(socket);

  const unwatch = (containerId: string) => {
    const held = watched.get(containerId);
    if (!held) return;
    watched.delete(containerId);
    held.input.close();
    screens.unwatch(held.screen, held.viewer);
  };
  socket.on('disconnect', () => {
    for (const containerId of watched.keys()) unwatch(containerId);
    dropped.send();
  });
  /** What it watches here; a screen that ended by itself is watched no longer. */
  const find = (containerId: string): Watched => {
    const held = watched.get(containerId);
    if (held?.screen.viewers.has(held.viewer.id)) return held;
    unwatch(containerId);
    throw new ApiError('not_found', 'This screen is not watched here: send vnc:watch first.');
  };

  inbound.on('vnc:watch', CLIENT_EVENTS['vnc:watch'].argument, async ({ containerId }, reply) => {
    const { ticket } = socket.data;
    const { mode } = ticket;
    lookups.take(subjectOf(ticket));
    const { state, width, height } = await openDesktop(known, ticket, containerId);
    if (hasEnded(state)) {
      throw new ApiError('conflict', `This desktop is ${state} and can't be watched: start another one.`);
    }
    if (opening.has(containerId)) throw new ApiError('conflict', 'This screen is just being opened.');
    if (watched.size + opening.size >= LIMITS.screensPerSocket && !watched.has(containerId)) {
      const most = LIMITS.screensPerSocket;
      throw new ApiError('quota_exceeded', `A socket may watch ${most} screens: leave one first.`);
    }
    opening.add(containerId);
    try {
      const { screen, settle } = await screens.open(containerId, ticket.sub);
      try {
        if (!socket.connected) return;
        const held = watched.get(containerId);
        const again = held && screen.viewers.has(held.viewer.id);
        if (!again) unwatch(containerId);
        const viewer = again ? held.viewer : new Viewer(containerId, socket, dropped);
        // Who watches again begins anew; what is on its way still counts.
        viewer.lose();
        const holder = publicHolder(screen.control.holder);
        reply({ ok: true, mode, width, height, viewerId: viewer.id, holder } as WatchAck);
        if (!again) {
          const request = () => screens.act(screen, 'request', viewer);
          watched.set(containerId, { screen, viewer, input: new Input(viewer, screen, request, metrics) });
        }
        screens.watch(screen, viewer);
      } finally {
        settle();
      }
    } finally {
      opening.delete(containerId);
    }
  });

  inbound.on('vnc:unwatch', CLIENT_EVENTS['vnc:unwatch'].argument, async ({ containerId }, reply) => {
    unwatch(containerId);
    dropped.send();
    reply({ ok: true });
  });

  inbound.on('vnc:refresh', CLIENT_EVENTS['vnc:refresh'].argument, async ({ containerId }, reply) => {
    const { screen, viewer } = find(containerId);
    if (!viewer.refresh()) throw new ApiError('rate_limited', 'A key was asked for just now: wait a second.');
    screen.ask();
    reply({ ok: true });
  });

  inbound.on('vnc:viewers', CLIENT_EVENTS['vnc:viewers'].argument, async ({ containerId }, reply) => {
    const { screen, viewer } = find(containerId);
    if (viewer.shared) throw new ApiError('forbidden', "Only the desktop's owner sees its viewers.");
    const seen = await screens.presence.list(containerId).catch((): never => {
      throw new ApiError('unavailable', 'The viewers can not be read now: try again in a moment.');
    });
    reply({ ok: true, ...viewersOf(seen, publicHolder(screen.control.holder)) } as ViewersAck);
  });

  inbound.on(
    'vnc:control',
    CLIENT_EVENTS['vnc:control'].argument,
    async ({ containerId, action, viewerId }, reply) => {
      const { screen, viewer } = find(containerId);
      if (viewer.mode !== 'control') {
        throw new ApiError('forbidden', 'This ticket may only view: ask for one with mode "control".');
      }
      if (action === 'take' && viewer.shared) {
        throw new ApiError('forbidden', "Only the desktop's owner takes control: request it instead.");
      }
      if (action === 'grant' && viewer.shared) {
        throw new ApiError('forbidden', "Only the desktop's owner grants control: release it instead.");
      }
      const acted =
        action === 'grant' ? screens.grant(screen, viewerId ?? '') : screens.act(screen, action, viewer);
      const done = await acted.catch((): never => {
        throw new ApiError('unavailable', 'Control cannot be had now: try again in a moment.');
      });
      if (done === false) {
        throw new ApiError('not_found', 'No such viewer with a ticket to control watches this desktop.');
      }
      const holder = publicHolder(screen.control.holder);
      if (action === 'request' && holdingViewer(holder) !== viewer.id) screens.request(screen, viewer);
      reply({ ok: true, holder } as ControlAck);
    },
  );

  // Bounded where they wait: an event that is left out here would be missed by nobody.
  const inputs = new Bucket(LIMITS.packetsPerSecond, LIMITS.packetsBurst);
  inbound.on(
    'vnc:input',
    SomeInput,
    async ({ containerId, input }) => {
      const held = watched.get(containerId);
      const parsed = ScreenInput.safeParse(input);
      if (held && parsed.success) return held.input.receive(parsed.data);
      const reason = parsed.success ? 'not_watching' : 'invalid';
      metrics.inputs.inc({ outcome: reason });
      dropped.add(containerId, reason);
      if (!parsed.success) throw badArgument(parsed.error, ['input']);
    },
    inputs,
  );

  inbound.onOften(
    'vnc:ack',
    CLIENT_EVENTS['vnc:ack'].argument,
    ({ containerId, epoch, seq }) => {
      const held = watched.get(containerId);
      if (!held) return false;
      const news = held.viewer.ack(epoch, seq);
      if (held.viewer.waits) held.screen.ask();
      return news;
    },
    new Bucket(LIMITS.acksPerSecond, LIMITS.acksBurst),
  );
}
