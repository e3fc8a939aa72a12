import type { ContainerState, EndReason } from '../contract/containers.ts';
import { HOST_AWAY } from '../contract/screen.ts';
import { DISCONNECTED } from './screen.ts';

/** What a viewer shows: `live` the picture as it is; `frozen` as it was, and input is not taken; else words in its place. */
export type ViewerState = 'connecting' | 'starting' | 'live' | 'frozen' | 'ended' | 'refused';

/** What a viewer knows. */
export type ScreenStatus = {
  /** The relay lets it watch. */
  watching: boolean;
  /** It has a picture, however old. */
  picture: boolean;
  /** Why that is old. */
  gone?: string | undefined;
  /** Why it may not watch. */
  refused?: string | undefined;
  /** As the desktop's room tells. */
  desktop?: ContainerState | undefined;
  /** Why it was stopped, when nobody asked for that. */
  reason?: EndReason | undefined;
};

const ENDED: Partial<Record<ContainerState, string>> = {
  stopped: 'The desktop has been stopped.',
  failed: 'The desktop could not be started, or ended by itself.',
  lost: 'The host of this desktop is gone.',
};
const STOPPED: Record<EndReason, string> = {
  expired: 'The desktop’s time to live is over.',
  idle: 'The desktop has been stopped: nobody used it.',
};
const STARTING: Partial<Record<ContainerState, string>> = {
  requested: 'The desktop waits for a place.',
  starting: 'The desktop is starting.',
};
const RESTING: Partial<Record<ContainerState, string>> = {
  paused: 'The desktop is paused.',
  stopping: 'The desktop is being stopped.',
};
const FROZEN: Record<string, string> = {
  [HOST_AWAY]: 'Frozen: the desktop’s host is away. What you type is not taken. It goes on by itself.',
  [DISCONNECTED]: 'Frozen: the connection is interrupted. What you type is not taken. It goes on by itself.',
};

/** What there is to say of it: the state, and a line of text for all but `live`. */
export function statusOf(known: ScreenStatus): { state: ViewerState; text: string } {
  const { watching, picture, gone, refused, desktop = 'running', reason } = known;
  const status = (state: ViewerState, text: string) => ({ state, text });
  const stopped = desktop === 'stopped' && reason ? STOPPED[reason] : undefined;
  const [ended, starting, resting] = [stopped ?? ENDED[desktop], STARTING[desktop], RESTING[desktop]];
  if (ended) return status('ended', ended);
  if (refused) return status('refused', refused);
  if (!picture) {
    if (!watching || gone === DISCONNECTED) return status('connecting', 'Connecting…');
    if (starting) return status('starting', starting);
    if (gone === HOST_AWAY) {
      return status('starting', 'The desktop’s host is away: the picture comes as soon as it is back.');
    }
    return status('starting', resting ?? 'The picture is on its way.');
  }
  if (gone !== undefined) {
    return status('frozen', FROZEN[gone] ?? 'Frozen: the picture is interrupted. It goes on by itself.');
  }
  return resting ? status('frozen', resting) : status('live', '');
}
