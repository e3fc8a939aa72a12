import { ApiError } from '@warmwind/shared/contract/errors';
import {
  type ControlAck,
  holdingViewer,
  ScreenInput,
  type ViewersAck,
} from '@warmwind/shared/contract/screen';
import { CLIENT_EVENTS } from '@warmwind/shared/contract/socket';
import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../metrics.ts';
import { Bucket } from '../sockets/bucket.ts';
import { badArgument, type Inbound } from '../sockets/inbound.ts';
import type { RelaySocket } from '../sockets/socket.ts';
import { viewersOf } from './presence.ts';
import { publicHolder } from './screen.ts';
import type { Screens } from './screens.ts';
import { type WatchContext, WatchedScreens } from './watched.ts';

/** The `input` field is checked later, so that malformed input is reported as dropped. */
const UncheckedInput = CLIENT_EVENTS['vnc:input'].argument.extend({ input: z.unknown() });

/** Handles the events by which one socket watches screens, controls them and sends input. */
export function handleScreens(socket: RelaySocket, inbound: Inbound, context: WatchContext): void {
  const watched = new WatchedScreens(socket, context);
  handleWatching(inbound, watched, context.screens);
  handleControl(inbound, watched, context.screens);
  handleInput(inbound, watched, context.metrics);
}

function handleWatching(inbound: Inbound, watched: WatchedScreens, screens: Screens): void {
  inbound.on('vnc:watch', CLIENT_EVENTS['vnc:watch'].argument, ({ containerId }, reply) =>
    watched.watch(containerId, reply),
  );

  inbound.on('vnc:unwatch', CLIENT_EVENTS['vnc:unwatch'].argument, async ({ containerId }, reply) => {
    watched.unwatch(containerId);
    watched.dropped.send();
    reply({ ok: true });
  });

  inbound.on('vnc:refresh', CLIENT_EVENTS['vnc:refresh'].argument, async ({ containerId }, reply) => {
    const { screen, viewer } = watched.find(containerId);
    if (!viewer.refresh())
      throw new ApiError('rate_limited', 'A keyframe was requested a moment ago. Wait a second.');
    screen.requestKeyframe();
    reply({ ok: true });
  });

  inbound.on('vnc:viewers', CLIENT_EVENTS['vnc:viewers'].argument, async ({ containerId }, reply) => {
    const { screen, viewer } = watched.find(containerId);
    if (viewer.shared) throw new ApiError('forbidden', "Only the desktop's owner sees its viewers.");
    const seen = await screens.presence.list(containerId).catch((): never => {
      throw new ApiError('unavailable', 'The viewers cannot be read now. Try again in a moment.');
    });
    reply({ ok: true, ...viewersOf(seen, publicHolder(screen.control.holder)) } as ViewersAck);
  });

  inbound.onOften(
    'vnc:ack',
    CLIENT_EVENTS['vnc:ack'].argument,
    ({ containerId, epoch, seq }) => {
      const held = watched.get(containerId);
      if (!held) return false;
      const released = held.viewer.ack(epoch, seq);
      if (held.viewer.acceptsKeyframe) held.screen.requestKeyframe();
      return released;
    },
    new Bucket(LIMITS.acksPerSecond, LIMITS.acksBurst),
  );
}

function handleControl(inbound: Inbound, watched: WatchedScreens, screens: Screens): void {
  inbound.on(
    'vnc:control',
    CLIENT_EVENTS['vnc:control'].argument,
    async ({ containerId, action, viewerId }, reply) => {
      const { screen, viewer } = watched.find(containerId);
      if (viewer.mode !== 'control') {
        throw new ApiError('forbidden', 'This ticket may only view. Request one with mode "control".');
      }
      if (action === 'take' && viewer.shared) {
        throw new ApiError('forbidden', "Only the desktop's owner takes control. Request it instead.");
      }
      if (action === 'grant' && viewer.shared) {
        throw new ApiError('forbidden', "Only the desktop's owner grants control. Release it instead.");
      }
      const acted =
        action === 'grant' ? screens.grant(screen, viewerId ?? '') : screens.act(screen, action, viewer);
      const done = await acted.catch((): never => {
        throw new ApiError('unavailable', 'Control is unavailable. Try again in a moment.');
      });
      if (done === false) {
        throw new ApiError(
          'not_found',
          'No viewer with this id may control this desktop. List them with vnc:viewers.',
        );
      }
      const holder = publicHolder(screen.control.holder);
      if (action === 'request' && holdingViewer(holder) !== viewer.id) screens.request(screen, viewer);
      reply({ ok: true, holder } as ControlAck);
    },
  );
}

function handleInput(inbound: Inbound, watched: WatchedScreens, metrics: Metrics): void {
  // Input is bounded where it queues. An event that this bucket dropped would not be reported.
  const inputs = new Bucket(LIMITS.packetsPerSecond, LIMITS.packetsBurst);
  inbound.on(
    'vnc:input',
    UncheckedInput,
    async ({ containerId, input }) => {
      const held = watched.get(containerId);
      const parsed = ScreenInput.safeParse(input);
      if (held && parsed.success) return held.input.receive(parsed.data);
      const reason = parsed.success ? 'not_watching' : 'invalid';
      metrics.inputs.inc({ outcome: reason });
      watched.dropped.add(containerId, reason);
      if (!parsed.success) throw badArgument(parsed.error, ['input']);
    },
    inputs,
  );
}
